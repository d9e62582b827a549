"""Command lines of Snakemake that repeat what Snakemake reads once."""

import pytest

from xstilts.errors import InputError
from xstilts.processes.snakemake import check_arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--config seeds=[1] --config source=hub", "--config is given twice; write all values"),
        ("--config seeds=[1] -n -C source=hub", "--config is given twice; write all values"),
        ("--configfile a.yaml --configfile=b.yaml", "--configfile is given twice"),
        ("all --config seeds=[1] source=hub seeds=[2]", "--config: seeds is given twice"),
    ],
)
def test_what_snakemake_would_ignore_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        check_arguments(arguments.split())


def test_options_given_once_are_accepted():
    check_arguments("-n --config seeds=[1] source=hub --configfile a.yaml b.yaml -c 2".split())
