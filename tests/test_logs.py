import logging
import warnings

import pytest

from brainseg.logs import ConsoleHandler
from brainseg.models.norm import group_norm


def test_warnings_of_our_own_are_printed_and_those_of_others_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler, logger = ConsoleHandler(), logging.getLogger("py.warnings")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            group_norm(8)
            warnings.warn("of another", stacklevel=1)
    finally:
        logging.captureWarnings(False)
        logger.removeHandler(handler)
    printed = capsys.readouterr().out
    assert printed.startswith("groups=8 of channels=8 is instance norm")
    assert printed.count("\n") == 1
