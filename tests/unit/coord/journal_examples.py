"""Journals for tests: opened, read anew, and with entries that another program put there."""

from orze.coord.journal import Journal
from orze.coord.record import LIMIT, decode, encode, new_record, slot_name
from orze.core.clock import ManualClock

HOME = "/results/.orze/journal"
SHA = "ab" * 32


def open_journal(files):
    return Journal(files, HOME, ManualClock(), frame={"host": "h", "pid": 1})


def replay(files):
    """The journal as a new host reads it."""
    journal = open_journal(files)
    journal.follow()
    return journal


def records(files):
    return [
        decode(files.read(f"{HOME}/{folder}/{name}", LIMIT))
        for folder in sorted(files.listdir(HOME))
        for name in sorted(files.listdir(f"{HOME}/{folder}"))
    ]


def section(number, text="text"):
    return [f"idea-{number:03d}", f"{number:064x}", f"## idea-{number:03d}: {text}\n"]


def put(files, journal, **content):
    """Put an entry into the next slot, as another version of the program might."""
    record = new_record("ENTRY", term=1, prev=journal.fold.tail) | content
    slot = journal.fold.records + 1
    files.write_new(f"{HOME}/{slot // 1000:04d}/{slot_name(slot)}", encode(record))
