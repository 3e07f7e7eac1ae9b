"""The keys of `lease`: how long an attempt or a host may be silent, and what must hold between them."""

from orze.config.outward import Block
from orze.config.values import Seconds, SecondsOrZero


class Lease(Block):
    """How long an attempt or a host may be silent, in seconds; docs/protocol.md says why."""

    heartbeat: Seconds = 10.0
    """Time between two signs of life of an attempt."""
    fence: Seconds = 60.0
    """An attempt that could not give a sign of life for so long ends itself."""
    kill: Seconds = 15.0
    """Time between SIGTERM and SIGKILL of an attempt that ends itself so."""
    steal: Seconds = 180.0
    """Silence after which another host takes the idea over."""
    attribute_cache: SecondsOrZero | None = None
    """Longest time that the mount may show stale attributes; unset: read from the mount."""


def lease_problems(lease: Lease, attribute_cache: float, orphan_hours: float | None = None) -> list[str]:
    """Hold a lease against the inequalities of protocol.md, "Heartbeats and the lease".

    Args:
        lease: its times in seconds; `steal` with orphan_timeout_hours applied, as Settings.lease has it.
        attribute_cache: longest attribute cache of the mount in seconds (acdirmax; 0 on a local disk).
        orphan_hours: orphan_timeout_hours, where `steal` comes from it.

    Returns:
        One sentence for each inequality that does not hold, with the numbers; none when all hold.
    """
    h, f, k, s, c = lease.heartbeat, lease.fence, lease.kill, lease.steal, attribute_cache
    rules = [
        ("3 × heartbeat ≤ fence", 3 * h <= f, f"3 × {h:g} = {3 * h:g}", f"{f:g}"),
        ("fence + kill < steal", f + k < s, f"{f:g} + {k:g} = {f + k:g}", f"{s:g}"),
        (
            "attribute_cache + 3 × heartbeat < steal",
            c + 3 * h < s,
            f"{c:g} + 3 × {h:g} = {c + 3 * h:g}",
            f"{s:g}",
        ),
        ("attribute_cache + fence ≤ steal", c + f <= s, f"{c:g} + {f:g} = {c + f:g}", f"{s:g}"),
    ]
    told = f" (steal is orphan_timeout_hours, {orphan_hours:g} h)" if orphan_hours else ""
    return [
        f"lease breaks `{rule}`: {left} s against {right} s; "
        f"raise {rule.split()[-1]} or lower the others{told}"
        for rule, holds, left, right in rules
        if not holds
    ]
