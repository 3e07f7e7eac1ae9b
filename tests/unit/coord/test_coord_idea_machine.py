"""Any sequence of records, legal or not, from living, dead and superseded hosts on one idea."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from orze.coord.chain import Chain
from orze.coord.idea_chain import CLAIM, DONE, EVALUATE, FAIL, LOST, REQUEUE, RETRY, RUN, TRAINED, IdeaFold
from orze.coord.record import LIMIT, decode, digest, encode, new_record, slot_name
from orze.core.clock import ManualClock
from orze.core.memory import MemoryFiles

HOME = "/chain"


class IdeaMachine(RuleBasedStateMachine):
    """Writes records past the rules, as a faulty host would, and reads them as three hosts do.

    One host reads after every record, one now and then, one is new each time: they must agree.
    """

    tokens = Bundle("tokens")
    shas = Bundle("shas")

    def __init__(self):
        super().__init__()
        self.files = MemoryFiles()
        self.files.mkdir(HOME)
        self.prompt, self.lazy = self.reader(), self.reader()
        self.written = []  # every record, valid or not
        self.valid = []  # the valid ones
        self.superseded = set()

    def reader(self):
        return Chain(self.files, HOME, IdeaFold(), ManualClock())

    @initialize(target=shas)
    def nothing_yet(self):
        return "0" * 64

    @property
    def fold(self):
        return self.prompt.fold

    def write(self, record, *, prev=None):
        """Put a record into the next slot without asking whether it is legal; return its sha256."""
        was, owner, trained = self.fold.phase, self.fold.token, self.fold.trained
        record["prev"] = self.fold.tail if prev is None else prev
        data = encode(record)
        self.files.write_new(f"{HOME}/{slot_name(len(self.written) + 1)}", data)
        self.written.append(data)
        self.prompt.refresh()
        if self.fold.tail == digest(data):
            self.valid.append(record)
            self.check(record, was, owner, trained)
            if owner and owner != self.fold.token and record["kind"] != TRAINED:
                self.superseded.add(owner)
        return digest(data)

    def check(self, record, was, owner, trained):
        kind = record["kind"]
        if kind in (TRAINED, DONE, FAIL, REQUEUE):
            assert record["token"] == owner
            assert owner not in self.superseded
        if kind == CLAIM:
            assert not owner
            assert self.fold.phase == (EVALUATE if trained else RUN)
        if kind == TRAINED:
            assert was == RUN
        if kind == LOST and was == EVALUATE:
            assert self.fold.trained is not None
        if kind == RETRY:
            assert self.fold.trained is None

    @rule(target=tokens, number=st.integers(-1, 2))
    def claim(self, number):
        token = f"token-{len(self.written)}"
        self.write(new_record(CLAIM, token=token, attempt=self.fold.attempt + number))
        return token

    @rule(target=tokens)
    def claim_well(self):
        token = f"token-{len(self.written)}"
        self.write(new_record(CLAIM, token=token, attempt=self.fold.attempt + 1))
        return token

    @rule(target=shas, token=tokens, kind=st.sampled_from([TRAINED, DONE, REQUEUE]))
    def report(self, token, kind):
        return self.write(new_record(kind, token=token))

    @rule(target=shas, token=tokens, final=st.booleans(), cause=st.sampled_from(["script", "host_lost"]))
    def fail(self, token, final, cause):
        return self.write(new_record(FAIL, token=token, final=final, cause=cause))

    @precondition(lambda self: self.fold.running)
    @rule(target=shas, kind=st.sampled_from([TRAINED, TRAINED, DONE, FAIL]))
    def report_well(self, kind):
        return self.write(new_record(kind, token=self.fold.token, final=False, cause="script"))

    @rule(sha=shas)
    def lose_something(self, sha):
        self.write(new_record(LOST, supersedes=sha, seen_gone=True))

    @rule(target=shas)
    def lose_the_owner(self):
        return self.write(new_record(LOST, supersedes=self.fold.tail, seen_gone=False))

    @rule(sha=shas)
    def retry_something(self, sha):
        self.write(new_record(RETRY, reopens=sha))

    @rule()
    def retry_the_end(self):
        self.write(new_record(RETRY, reopens=self.fold.tail))

    @rule(token=tokens, sha=shas)
    def write_with_another_predecessor(self, token, sha):
        before = self.fold.tail
        self.write(new_record(DONE, token=token), prev=f"f{sha[1:]}")
        assert self.fold.tail == before

    @rule(record=st.dictionaries(st.sampled_from(["kind", "token", "nonce"]), st.none() | st.integers(0, 1)))
    def write_nonsense(self, record):
        before = self.fold.tail
        self.write(record)
        assert self.fold.tail == before

    @rule()
    def read_now_and_then(self):
        self.lazy.refresh()
        assert vars(self.lazy.fold) == vars(self.fold)

    @invariant()
    def at_most_one_result_is_committed_for_each_retry(self):
        results = 0
        for record in self.valid:
            if record["kind"] == DONE:
                results += 1
            elif record["kind"] == RETRY:
                results = 0
            assert results <= 1

    @invariant()
    def attempts_count_the_claims_and_grow(self):
        numbers = [record["attempt"] for record in self.valid if record["kind"] == CLAIM]
        assert numbers == list(range(1, len(numbers) + 1))
        assert self.fold.attempt == len(numbers)

    @invariant()
    def every_lost_names_the_record_before_it(self):
        tails = {record["prev"] for record in self.valid}
        assert all(record["supersedes"] == record["prev"] for record in self.valid if record["kind"] == LOST)
        assert len(tails) == len(self.valid)  # no record has two successors

    @invariant()
    def a_new_process_reads_the_same_and_no_record_has_changed(self):
        fresh = self.reader()
        fresh.refresh()
        assert vars(fresh.fold) == vars(self.fold)
        assert fresh.length == len(self.written)
        for slot, data in enumerate(self.written, 1):
            assert self.files.read(f"{HOME}/{slot_name(slot)}", LIMIT) == data
            decode(data)


IdeaMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyRecordsOnOneIdea = IdeaMachine.TestCase
