"""`orze service`: the daemon of this host as a systemd unit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, Json, config_file
from orze.cli.table import guarded

if TYPE_CHECKING:
    from orze.client.service import Service, Status

app = typer.Typer(
    help="Start the daemon of this host with the machine, as a systemd unit of yours.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="NAME", help="The unit is orze-NAME.service (default: that of the directory)."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also a unit that orze did not write.")]


@app.command("install", short_help="Write the unit, enable it and start the daemon.")
@guarded
def install(
    context: typer.Context,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAGS]", help="Flags of `orze run`, such as --gpus 0,1."),
    ] = None,
    *,
    name: Name = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env", metavar="VARIABLE", help="Give it this variable, as it is now. May be repeated."
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> int:
    """Write ~/.config/systemd/user/orze-NAME.service, enable it and start the daemon.

    The daemon uses this interpreter and this directory. Stopping or restarting the unit leaves attempts
    running. Doing it again is harmless; a unit that orze did not write is left alone.
    """
    from orze.client.service import Service, wanted

    asked = wanted(config_file(context), Path.cwd(), name=name, flags=flags or (), variables=env or ())
    service = Service(asked.name, os.environ)
    fresh = service.install(asked, force=force)
    if json:
        return _show_json(service.status())
    output.say(f"{service.path} is {'written' if fresh else 'as it was'}")
    output.say(f"{service.unit} is enabled and runs; its log: journalctl --user -u {service.unit} -f")
    _tell_linger(service.lingers())
    return DONE


@app.command("uninstall", short_help="Stop the daemon and remove the unit.")
@guarded
def uninstall(context: typer.Context, *, name: Name = None, force: Force = False, json: Json = False) -> int:
    """Stop the daemon and remove its unit. Its attempts run on; `orze run --stop-attempts` ends them."""
    service = _service(context, name)
    there = service.uninstall(force=force)
    if json:
        return _show_json(service.status(), DONE)
    output.say(f"{service.unit} is removed; attempts run on" if there else f"there is no {service.path}")
    return DONE


@app.command("status", short_help="Whether the unit is there and its daemon runs.")
@guarded
def status(context: typer.Context, *, name: Name = None, json: Json = False) -> int:
    """Tell whether the unit is there, starts with the machine, and runs; exit status 1 if it does not run."""
    found = _service(context, name).status()
    runs = DONE if found.active == "active" else NO
    if json:
        return _show_json(found, runs)
    if not found.installed:
        output.say(f"{found.unit} is not installed ({found.path})")
        return runs
    output.say(f"{found.path}" + ("" if found.ours else ", which orze did not write"))
    if found.answers:
        pid = f", process {found.pid}" if found.pid else ""
        enabled = "enabled" if found.enabled else "not enabled"
        output.say(f"{found.unit} is {found.active}{pid}, {enabled}, restarted {found.restarts} times")
    else:
        output.say("systemd of this user does not answer: log in on this host, and ask again")
    _tell_linger(found.lingers)
    return runs


def _service(context: typer.Context, name: str | None) -> Service:
    from orze.client.service import Service, wanted

    asked = wanted(config_file(context), Path.cwd(), name=name, flags=(), variables=())
    return Service(asked.name, os.environ)


def _show_json(found: Status, code: int = DONE) -> int:
    print(
        output.as_json(
            {
                "unit": found.unit,
                "path": str(found.path),
                "installed": found.installed,
                "written_by_orze": found.ours,
                "systemd_answers": found.answers,
                "enabled": found.enabled,
                "active": found.active,
                "pid": found.pid,
                "restarts": found.restarts,
                "lingers": found.lingers,
            }
        )
    )
    return code


def _tell_linger(lingers: bool | None) -> None:
    from orze.client.service import user_name

    if lingers:
        output.say("Lingering is on: it starts with the machine, and runs when you are logged out.")
        return
    told = "cannot be asked for" if lingers is None else "is off"
    output.say(
        f"Lingering {told}: without it systemd ends the daemon and its attempts when you log out, and "
        f"starts nothing at boot. Turn it on: loginctl enable-linger {user_name()}"
    )
