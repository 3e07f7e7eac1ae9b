"""The daemon: one loop that observes, decides, acts and reports.

A cycle is `look` (leader chain, journal, heartbeats, ideas.md, results/), `decide` (pure), `act` (claim and
launch, reap, lead) and `show`. It is woken by keepers, files and signals; the poll interval is only the
fallback. Nothing in it waits for a child.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
from collections.abc import Callable, Mapping

from orze.core.errors import OrzeError
from orze.core.states import State
from orze.farm.assembly import Assembly
from orze.farm.attempts import Attempt
from orze.farm.board import disk_free
from orze.farm.context import Context
from orze.farm.decide import Campaign, Depose, Effect, Launch, Reap, decide
from orze.farm.follow import Follower
from orze.farm.show import Show
from orze.farm.starter import Refusal
from orze.farm.view import Candidate, View

_LOG = logging.getLogger("orze")
_GB = 1e9
_CANDIDATES = 64
_SWEEP = 60.0  # seconds between two listings of results/
_CALM = 0.05  # seconds that a training has to start before anything that can wait competes with it
_AGAIN = 0.1  # seconds until something that is under way is looked at again
_CARD_LOOK = 1.0  # seconds until a card that is not free is looked at again
_ASKED = 0.5  # seconds until a request that had to wait is looked at again
_TEND = 1.0  # seconds for which launches under way may put off the journal and the report
_ENOUGH = 3  # the Ctrl-C that ends even the wait for stopping attempts


class Daemon:
    """One host's daemon.

    Args:
        context: who and where.
        environ: the environment of the training scripts.
        once: each slot starts one idea at most, and `run` returns when they have ended.

    Raises:
        GpuError: a card was asked for that is not there.
        ConfigError: the interpreter of the scripts is not there.
        OSError: the share did not answer at the start.
    """

    def __init__(self, context: Context, environ: Mapping[str, str], *, once: bool = False) -> None:
        self._context = context
        self._clock = context.clock
        self._once = once
        self.members = Assembly(context, environ)
        self._starter = self.members.starter(started=self._on_started, refused=self._on_refused)
        self.show = Show(context, self.members)
        self._follower = Follower(self.members, self.show)
        self._served: set[str] = set()
        self._stopping: set[str] = set()
        self._offers: dict[str, float] = {}
        self._next_sweep = 0.0
        self._swept = (-1, 0.0)
        self._wake_at = 0.0
        self._tend_by = self._calm_until = 0.0

    def begin(self) -> None:
        """Show this daemon to the others, and read what there is."""
        self.members.environment.begin()
        self.members.hosts.begin()
        gc.disable()  # of what is read now nothing becomes garbage
        try:
            self.read(alive=self.members.hosts.renew)
            self.members.save_cache()
        finally:
            gc.enable()
        gc.freeze()

    def read(self, alive: Callable[[], None] | None = None, *, whole: bool = False) -> None:
        """Read everything there is, without a part in anything.

        Args:
            alive: called between the steps of a long reading.
            whole: also wait until the last section of ideas.md counts as whole.
        """
        m = self.members
        m.leadership.refresh()
        with m.queue.loading():
            m.load_cache()
            m.journal.follow()
            self._follow_journal()
            m.intake.read()
            while m.intake.behind or (whole and m.intake.due() is not None):
                if alive:
                    alive()
                if not m.intake.behind:
                    m.events.wait((m.intake.due() or 0.0) - self._clock.steady())
                m.intake.read()
        self._follower.look()
        self._follower.take_in()

    @property
    def ended(self) -> tuple[int, int]:
        """How many attempts that it started succeeded, and how many failed."""
        return self._follower.succeeded, self._follower.failed

    def run(self) -> None:
        """Cycle until told to stop, or with `once` until what was started has ended."""
        m = self.members
        self._starter.warm_up()
        while not (m.events.terminated or m.events.interrupts):
            with m.telemetry.cycle():
                self.cycle()
            if self._once and self._is_through():
                return
            with m.problems.guard("answering keepers"):
                m.events.wait(self._pause())
            self._wait_for_children()

    def cycle(self) -> None:
        """Once around."""
        self._wake_at = float("inf")
        self._look()
        for effect in decide(self._view()):
            self._act(effect)
        if self._may_tend():
            self._tend()

    def leave(self) -> None:
        """Go, and leave the attempts running."""
        m = self.members
        self._starter.close()
        m.events.close()
        with m.problems.guard("telling people"):
            m.notifying.end(flush=self._once)
        m.refining.end()
        with m.problems.guard("leaving"):
            if m.leadership.mine:
                m.leadership.resign()
            m.hosts.end()
        m.save_cache()

    def stop_attempts(self) -> list[str]:
        """Tell every keeper of this machine to save, stop and requeue; returns the ideas."""
        here = self.members.attempts.here()
        for attempt in here:
            self.members.attempts.tell(attempt, signal.SIGTERM)
        self._stopping = {attempt.token for attempt in here}
        return [attempt.idea_id for attempt in here]

    def wait_for_attempts(self) -> None:
        """Wait until the attempts that were told to stop have ended; their keepers keep to the grace."""
        m = self.members
        while self._stopping & {attempt.token for attempt in m.attempts.here()}:
            if m.events.interrupts >= _ENOUGH:
                return
            m.events.wait(_AGAIN)
            self._wait_for_children()
            with m.problems.guard("watching attempts"):
                self._follower.look()
            self._follower.take_in()

    # ---- look

    def _look(self) -> None:
        m = self.members
        with m.problems.guard("renewing the heartbeat"):
            m.hosts.renew()
        with m.problems.guard("reading the leader chain"), m.telemetry.read():
            m.leadership.refresh()
        with m.problems.guard("reading the journal"):
            m.journal.follow()
            self._follow_journal()
        with m.problems.guard("watching attempts"):
            self._follower.look()
            m.succession.judge()
        self._follower.take_in()
        with m.problems.guard("reading ideas.md"):
            if m.intake.read():
                self.show.changed()
        with m.problems.guard("looking through results"):
            self._sweep()
        m.problems.show("cards", m.cards.problems())
        self._offer_again()

    def _follow_journal(self) -> None:
        m = self.members
        changed, outcomes = m.journal.fold.drain()
        for idea_id in changed:
            m.queue.set_known(idea_id, m.journal.fold.ideas.get(idea_id))
        if not changed.keys() <= m.journal.fold.ideas.keys():
            m.intake.recheck()  # the journal was begun anew without some of them
        for idea_id, _, _ in outcomes:
            m.steward.told(idea_id)
        m.board.take(outcomes)
        if outcomes:
            m.mirroring.news()
        if m.orders.take_in() or changed:
            self.show.changed()

    def _sweep(self) -> None:
        """The leader lists results/ now and then: what plain farms and people did there, what was removed."""
        now = self._clock.steady()
        if not self.members.leadership.mine or now < self._next_sweep:
            return
        settled = 2 * self._context.settings.poll
        self._next_sweep = now + min(_SWEEP, settled)
        mtime = self._context.files.stat(self._context.paths.results).st_mtime_ns
        if mtime != self._swept[0]:
            self._swept = (mtime, now)
        if self.members.settler.sweep(anew=now - self._swept[1] <= settled):
            self.show.changed()

    def _offer_again(self) -> None:
        now = self._clock.steady()
        due = [idea_id for idea_id, at in self._offers.items() if at <= now]
        for idea_id in (*due, *self.members.duplicates.freed()):
            self._offers.pop(idea_id, None)
            self.members.queue.offer_again(idea_id)
        self._wake_at = min([self._wake_at, *self._offers.values()])

    # ---- decide

    def _view(self) -> View:
        m = self.members
        under_way = set(self._starter.taken.values())
        ready = tuple(
            Candidate(idea.id, idea.priority, idea.gpus)
            for idea in m.queue.ready(_CANDIDATES)
            if idea.id not in under_way
        )
        slots = m.cards.views(self._taken()) if ready else ()
        if any(slot.busy and not slot.busy.startswith("runs") for slot in slots):
            m.cards.ask()
            self._wake_at = min(self._wake_at, self._clock.steady() + _CARD_LOOK)
        return View(
            slots=tuple(slot for slot in slots if not (self._once and slot.name in self._served)),
            ready=ready,
            paused=self._disk_is_low() or (self._cannot_start() if ready else "") or m.orders.drained,
            # it spreads hosts over the queue, it guards nothing
            turn=random.randrange(1 << 30) if len(m.attempts.daemons) > 1 else 0,  # noqa: S311
            farm_slots=self.show.farm_slots(),
            leads=m.leadership.mine,
            leader=m.leadership.fold.token,
            leader_dead=m.succession.due,
            dead=tuple(m.attempts.dead),
        )

    def _taken(self) -> dict[str, str]:
        """Slots of this host that attempts have, running or in preparation."""
        taken = self._starter.taken
        for attempt in self.members.attempts.here():
            taken |= dict.fromkeys(attempt.slots, attempt.idea_id)
        return taken

    def _disk_is_low(self) -> str:
        limit = self._context.settings.min_disk_gb
        try:
            free = disk_free(self._context.paths.results) / _GB if limit else 0.0
            found = f"{free:.1f} GB free in results, min_disk_gb is {limit:g}" if free < limit else ""
        except OSError as error:
            found = f"the space that is free in results cannot be read: {error.strerror}"
        return self._pause_for("disk", found)

    def _cannot_start(self) -> str:
        """Something that every idea needs is not there: better to wait for it than to fail them all."""
        try:
            self.members.launcher.check()
            return self._pause_for("settings", "")
        except OrzeError as error:
            return self._pause_for("settings", str(error))

    def _pause_for(self, source: str, why: str) -> str:
        self.members.problems.show(source, [f"launches pause: {why}"] if why else [])
        return why

    # ---- act

    def _act(self, effect: Effect) -> None:
        m = self.members
        match effect:
            case Launch():
                with m.problems.guard("starting attempts"):
                    self._starter.launch(effect)
            case Reap():
                with m.problems.guard("reaping lost attempts"):
                    again = 0.0 if self._follower.reap(effect.dead) else self._clock.steady() + _AGAIN
                    self._wake_at = min(self._wake_at, again)
            case Depose():
                with m.problems.guard("deposing a dead leader"):
                    m.leadership.depose(effect.token)
                    m.hosts.bury(effect.token)
            case Campaign():
                with m.problems.guard("electing a leader"):
                    self._campaign()

    def _campaign(self) -> None:
        m = self.members
        if m.leadership.campaign(above=m.journal.fold.term):
            _LOG.info("this host leads: it writes the reports, registers ideas and reaps the dead")
            m.intake.recheck()
            self._next_sweep = 0.0
            self._wake_at = 0.0

    def _on_started(self, attempt: Attempt) -> None:
        m = self.members
        m.queue.set_running(attempt.idea_id, State.CLAIMED)
        self._follower.started.add(attempt.token)
        m.telemetry.started()
        self._served.update(attempt.slots)
        self._calm_until = self._clock.steady() + _CALM
        self.show.changed()
        title = m.queue.title(attempt.idea_id)
        _LOG.info("%s starts on %s (attempt %d): %s", attempt.idea_id, attempt.gpu, attempt.number, title)

    def _on_refused(self, refusal: Refusal) -> None:
        m = self.members
        _LOG.debug("%s is not started: %s", refusal.idea_id, refusal.why)
        self._offers[refusal.idea_id] = self._clock.steady() + refusal.wait
        m.queue.defer(refusal.idea_id, refusal.why)
        if refusal.fold is None:
            return
        if refusal.fold.running:
            m.attempts.watch_chain(refusal.idea_id, refusal.fold)
        elif refusal.fold.end:
            m.settler.settle(refusal.idea_id, refusal.fold)

    # ---- tend

    def _may_tend(self) -> bool:
        """What can wait, waits for the launches that are under way or just made, but not for long."""
        now = self._clock.steady()
        return (not self._starter.taken and now >= self._calm_until) or now >= self._tend_by

    def _tend(self) -> None:
        """Lead, clean up, and tell what is going on."""
        m = self.members
        self._tend_by = self._clock.steady() + _TEND
        if m.leadership.mine:
            with m.problems.guard("writing the journal"):
                m.steward.step()
                self._follow_journal()
            if m.steward.waiting:
                self._wake_at = min(self._wake_at, self._clock.steady() + _ASKED)
            m.problems.show("inbox", m.steward.problems)
            with m.problems.guard("cleaning up"):
                self._wake_at = 0.0 if m.cleanup.step() else self._wake_at
            with m.problems.guard("mirroring"):
                self._wake_at = min(self._wake_at, m.mirroring.step())
            with m.problems.guard("research"):
                self._wake_at = min(self._wake_at, m.researching.step())
            with m.problems.guard("stopping early what is hopeless"):
                self._wake_at = min(self._wake_at, m.pruning.step())
            with m.problems.guard("confirming results"):
                m.confirming.step()
            with m.problems.guard("telling people"):
                m.notifying.step(swept=self._swept[1] > 0.0)
                self._wake_at = min(self._wake_at, m.notifying.due())
        with m.problems.guard("starting what refines"):
            self._wake_at = min(self._wake_at, m.refining.step())
        m.problems.show("notifications", m.notifying.problems)
        self.show.after_cycle(self._taken())

    # ---- wait

    def _pause(self) -> float:
        m = self.members
        now = self._clock.steady()
        told = self.show.due()
        if not self._may_tend():
            told = self._tend_by if self._starter.taken else min(self._tend_by, self._calm_until)
        times = [self._wake_at, m.hosts.next_beat(), now + self._context.settings.poll, told]
        if (due := m.intake.due()) is not None:
            times.append(due)
        behind = m.intake.behind or (m.leadership.mine and m.intake.unregistered)
        return 0.0 if behind else max(0.0, min(times) - now)

    def _is_through(self) -> bool:
        """With `once`: nothing runs that was started here, and nothing more can be."""
        m = self.members
        waiting = m.intake.behind or m.intake.due() is not None or self._starter.taken
        if self._follower.started or waiting:
            return False
        view = self._view()
        if view.ready and not m.cards.fresh:
            return False
        return not any(isinstance(effect, Launch | Reap) for effect in decide(view))

    def _wait_for_children(self) -> None:
        """Collect children that have ended: keepers, and whoever drew the picture."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self.show.child_ended(*ended)
        except ChildProcessError:
            return
