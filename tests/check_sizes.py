"""No file over 400 lines, no function over 50: run by `make lint`."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LIMIT, FUNCTION_LIMIT = 400, 50


def oversized(path: Path) -> list[str]:
    """Sentences about what is too long in one file."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    lines = text.count("\n")
    found = [f"{name}: {lines} lines; the limit is {FILE_LIMIT}"] if lines > FILE_LIMIT else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LIMIT:
                found.append(
                    f"{name}:{node.lineno}: {node.name} has {length} lines; the limit is {FUNCTION_LIMIT}"
                )
    return found


def main() -> int:
    """Print what is too long; exit status 1 if anything is."""
    sources = [
        *sorted(ROOT.glob("*.py")),
        *sorted(ROOT.glob("orze/**/*.py")),
        *sorted(ROOT.glob("examples/**/*.py")),
    ]
    found = [line for path in sources for line in oversized(path)]
    print("\n".join(found) or f"{len(sources)} files, none too long")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
