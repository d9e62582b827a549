from tests import reference


def test_schemas_are_up_to_date():
    for name in reference.ENTRIES:
        path = reference.ROOT / "workflow" / "schemas" / f"{name}.schema.json"
        assert path.read_text() == reference.schema(name), "run `make reference`"


def test_readme_tables_are_up_to_date():
    text = reference.README.read_text()
    assert reference.readme(text) == text, "run `make reference`"
    for name in reference.TABLES:
        assert f"<!-- table {name} -->\n| key |" in text
