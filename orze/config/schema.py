"""Every key of orze.yaml: its kind, its default and what it does."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from orze.config.values import (
    AsWritten,
    Cards,
    InsidePath,
    JsonSource,
    LaunchWords,
    NumberFormat,
    OutputPath,
    ProjectPath,
    ScriptName,
    ScriptWords,
    Seconds,
    SecondsOrZero,
    Text,
    Variables,
    Words,
)
from orze.core.nearest import nearest
from orze.core.states import NOT_ITS_FAULT, Cause
