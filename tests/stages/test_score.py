"""score: the table of examples."""

import subprocess
import sys


def test_the_table_of_examples_needs_no_pandas():
    code = """
import sys
from xstilts.stages.score import examples_table
table = examples_table([("en", "é", 1.0, 2), ("de", "x", 0, 1.0)])
assert [tuple(row.values()) for row in table.to_pylist()] == [("en", "é", 1, 2), ("de", "x", 0, 1)]
assert str(table.schema.types[2]) == "double"
assert examples_table([]).num_rows == 0
print("pandas" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip() == "False", ended.stderr
