"""What keeps a gateway standing when the engine behind it does not: five small pieces, each attackable alone."""

from labkit.gateway.resilience.breaker import BreakerOpen, Call, CircuitBreaker
from labkit.gateway.resilience.limits import Admission, Buckets, Overloaded, TokenBucket, safe_queue_limit
from labkit.gateway.resilience.memory import AnswerCache, IdempotencyKeys, InFlight, Reused
from labkit.gateway.resilience.retry import Deadline, DeadlineExceeded, Retry, RetryThrottle

__all__ = ["Admission", "AnswerCache", "BreakerOpen", "Buckets", "Call", "CircuitBreaker", "Deadline",
           "DeadlineExceeded", "IdempotencyKeys", "InFlight", "Overloaded", "Retry", "RetryThrottle", "Reused",
           "TokenBucket", "safe_queue_limit"]
