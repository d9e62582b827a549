"""Texts as files for the readers."""

import pytest

from xstilts.sources.files import read


@pytest.fixture
def load(tmp_path):
    """Write the texts as files and read them."""

    def read_texts(format, text, language="en", **options):
        texts = text if isinstance(text, dict) else {"data": text}
        options |= {"size": 1} if format == "checklist" else {}
        paths = []
        for name, content in texts.items():
            paths.append(tmp_path / name)
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(format, paths, language, **options)

    return read_texts
