"""Reference of the configuration, generated from its classes: JSON Schemas and tables.

`python -m tests.reference` writes `workflow/schemas/` and the tables in
`config/README.md`.
"""

import json
from typing import Any

from pydantic import BaseModel

from tests import CONFIG, ROOT
from xstilts import store
from xstilts.config import claims, orders, origins, resources, settings, subsets
from xstilts.config.schema import Arm, Model, Study, StudyTask, Task

README = CONFIG / "README.md"
ENTRIES = {"study": Study, "task": Task, "model": Model}
TABLES = {
    **ENTRIES,
    "study-task": StudyTask,
    **settings.SETTINGS,
    "lora": settings.Lora,
    "orders": orders.Orders,
    "arm": Arm,
    "claim": claims.Claim,
    "subset": subsets.Subset,
    "resources": resources.ModelNeeds,
    "init": origins.Init,
    "tokenizer": origins.Tokenizer,
    "hub": origins.HubModel,
    "local": origins.Local,
    "lab": origins.LabSplit,
    "files": origins.FilesSplit,
    "hub-split": origins.HubSplit,
}


def schema(name: str) -> str:
    """Return the JSON Schema of a study, task or model as text."""
    return json.dumps(ENTRIES[name].model_json_schema(), indent=2) + "\n"


def table(model: type[BaseModel]) -> str:
    """Return a Markdown table of the keys of a class."""
    properties = model.model_json_schema()["properties"]
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_plain(field.default)}`"
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{key}` | {_type(properties[key])} | {default} | {meaning} |")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    return json.dumps(value) if not isinstance(value, str) or not value else value


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        kinds = [_type(option) for option in field["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    kind = field.get("type", "mapping")
    return {"object": "mapping", "integer": "whole number"}.get(kind, kind)


def readme(text: str) -> str:
    """Return the text of `config/README.md` with the current table between each pair of markers."""
    for name, model in TABLES.items():
        start, end = f"<!-- table {name} -->", f"<!-- end {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n{table(model)}\n{end}{after}"
    return text


def main() -> None:
    """Write the JSON Schemas and the tables of `config/README.md`."""
    for name in ENTRIES:
        store.write_text(ROOT / "workflow" / "schemas" / f"{name}.schema.json", schema(name))
    store.write_text(README, readme(README.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
