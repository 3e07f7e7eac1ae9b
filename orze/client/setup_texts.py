"""The texts of the files that `orze init` writes."""

from __future__ import annotations

import json
import re

import yaml

from orze.client.script import Flag, Kind, Script, plain_line

EXAMPLE_BASE = """\
# What every idea starts from. The YAML block of an idea is laid on top of this file: mappings are merged
# key by key, everything else (numbers, text, lists) is replaced. results/<id>/idea.yaml shows what ran.

lr: 0.1
steps: 20
"""
_BASE = EXAMPLE_BASE.partition("\n\n")[0] + "\n"
_WIDE = 1 << 20  # columns: a value stays on its line
_RATES = ("lr", "learning_rate", "base_lr")


def orze_yaml(train_script: str, python: str) -> str:
    """The settings.

    Args:
        python: interpreter of the scripts; empty for that of the farm.
    """
    own = _pair("python", python) if python else "#python: conda:train"
    return f"""\
# Settings of this farm. Every key is told in RULES.md, "orze.yaml"; `orze doctor` checks this file.
# Paths are relative to this file. A time is a number of seconds, or a text such as 90m, 2h, 1d.

{_pair("train_script", train_script)}

# The interpreter of the scripts: a path, a name on PATH, or conda:NAME. Default: that of the farm.
{own}

# The longest time that one training may take; an idea's own Timeout wins.
timeout: 1h

# What ranks the results. Without it the report chooses a metric and says which.
#report:
#  primary_metric: val_loss
#  sort: ascending
"""


def ideas_md(source: Script, *, example: bool) -> str:
    """The first idea, and how the next one is written.

    Args:
        source: the training script, whose flags give the example.
        example: whether the training script is the one that `orze init` writes.
    """
    key, value = ("lr", 0.2) if example else _changed(source)
    block = f"{_pair(key, value)}"
    return f"""\
# Ideas

One section for each experiment, new ones at the end. RULES.md tells what a section may say.

<!-- The next one could be (without this line and the last):

## idea-002: Another {key}
- **Parent**: idea-001
- **Hypothesis**: What should change, by how much, and why.

```yaml
{block}
```
-->

## idea-001: The starting point
- **Priority**: high
- **Hypothesis**: configs/base.yaml as it is; all others are compared with it.
"""


def base_yaml(source: Script, called: str) -> str:
    """The configuration that every idea starts from: the script's own defaults.

    Args:
        called: what the farm calls, as it is named in a comment.
    """
    if source.follows_contract:
        return (
            f"{_BASE}#\n# {called} reads it from the file that ORZE_IDEA_CONFIG names, such as:\n#lr: 0.1\n"
        )
    lines = [_line(flag) for flag in source.flags if not flag.is_output]
    if not lines:
        return (
            f"{_BASE}#\n# No flag was found in the script. {called} makes flags of keys such as:\n#lr: 0.1\n"
        )
    head = f"{_BASE}#\n# {called} makes a flag of each key; one that is null is left out.\n"
    return "\n".join([head, *lines, ""])


def adapter(template: str, script: str, source: Script) -> str:
    """The adapter for one script.

    Args:
        template: the text of adapter.py, whose first assignments are replaced.
    """
    rows = [f"    {_text(flag.name)}: ({_text(flag.word)}, {_text(flag.kind)}),\n" for flag in source.flags]
    flags = "{\n" + "".join(rows) + "}" if rows else "{}"
    outputs = "".join(f"{_text(flag.name)}, " for flag in source.flags if flag.is_output)
    text = _assign(template, "COMMAND", f"[{_text(script)}]")
    text = _assign(text, "FLAGS", flags)
    text = _assign(text, "TAKES_MORE", str(source.open))
    return _assign(text, "OUTPUT_KEYS", f"({outputs.rstrip()})")


def _assign(text: str, name: str, value: str) -> str:
    return re.sub(rf"(?m)^({name}: [^=]*= ).*$", lambda match: match[1] + value, text, count=1)


def _text(value: str) -> str:
    """A text as Python writes it; JSON's escapes are Python's too."""
    return json.dumps(str(value))


def _line(flag: Flag) -> str:
    """One key of the base configuration, with what the script says of it."""
    about = f"  # {flag.help}" if flag.help else ""
    if flag.required:
        return f"{_pair(flag.name, None)}  # required: give it a value" + (
            f"; {flag.help}" if flag.help else ""
        )
    if not flag.has_default or not _fits(flag):
        return f"#{plain_line(flag.name)}:{about or '  # its default is worked out by the script'}"
    return _pair(flag.name, flag.default) + about


def _fits(flag: Flag) -> bool:
    """Whether a default can be told back to the script as it is."""
    if flag.kind in (Kind.SET, Kind.UNSET, Kind.SWITCH):
        return flag.default is None or isinstance(flag.default, bool)
    items = flag.default if isinstance(flag.default, list | tuple) else ()
    several = flag.kind in (Kind.VALUES, Kind.PLACE)  # argparse takes a word with a dash for another flag
    return not (several and any(isinstance(item, str) and item.startswith("-") for item in items))


def _changed(source: Script) -> tuple[str, object]:
    """A key to change, and another value for it."""
    numbers = {
        flag.name: flag.default
        for flag in source.flags
        if isinstance(flag.default, int | float) and not isinstance(flag.default, bool) and flag.default
    }
    for name in (*(rate for rate in _RATES if rate in numbers), *numbers):
        return name, numbers[name] * 2
    return "lr", 0.01


def _pair(key: str, value: object) -> str:
    """One key and its value on one line of YAML; the key is printable."""
    name = _flow({key: None}).removeprefix("{").removesuffix("null}")
    if isinstance(value, list | tuple):
        return f"{name}[{', '.join(_scalar(item) for item in value)}]"
    return f"{name}{_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, str) and not value.isprintable():
        return str(yaml.safe_dump(value, default_style='"', width=_WIDE)).strip()  # its escapes keep one line
    return _flow([value]).removeprefix("[").removesuffix("]")


def _flow(value: object) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True, width=_WIDE, allow_unicode=True)).strip()
