"""Budgets that hold under concurrency: reserve before you spend, settle what it cost, charge what nobody settled.

`Ledger` is the book of record; `designs` are the ways it is usually done, and `attack` is what breaks them;
`reconcile` holds the book against the engine's counters and the invoice.
"""

from labkit.gateway.budget.accounts import Account, BudgetWarning, Decision
from labkit.gateway.budget.ledger import Ledger
from labkit.gateway.budget.money import dollars, price
from labkit.gateway.budget.reconcile import reconcile
from labkit.gateway.budget.store import LedgerError

__all__ = ["Account", "BudgetWarning", "Decision", "Ledger", "LedgerError", "dollars", "price", "reconcile"]
