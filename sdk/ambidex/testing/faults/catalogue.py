"""All rows of the catalogue: importing this fills the table."""

from __future__ import annotations

from . import connection_faults as connection_faults
from . import response_faults as response_faults
from . import stream_faults as stream_faults
from .fault import FAULTS as FAULTS
