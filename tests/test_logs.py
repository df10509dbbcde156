import logging
import warnings

import pytest

from brainseg.logs import ConsoleHandler
from brainseg.models import norm


@pytest.mark.parametrize(("file", "printed"), [(norm.__file__, "of ours\n"), ("/other.py", "")])
def test_of_warnings_our_own_are_printed(
    file: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = warnings.formatwarning("of ours", UserWarning, file, 61)  # as logging captures them
    ConsoleHandler().emit(
        logging.LogRecord("py.warnings", logging.WARNING, "", 0, "%s", (said,), None)
    )
    assert capsys.readouterr().out == printed
