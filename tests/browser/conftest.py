"""What the browser tests share."""

from tests.browser.test_browser import browser, lab

__all__ = ["browser", "lab"]
