"""Write the published documents of the contract: `python -m tests.contract.publish docs` (make schemas)."""

import json
import sys
from pathlib import Path

import yaml

from ledger.api.app import create_app
from ledger.contract.asyncapi import asyncapi_document
from ledger.contract.schemas import all_schemas
from tests.api.world import World


def documents() -> dict[str, str]:
    """Give the text of every published document by its path."""
    texts = {
        f"schemas/{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in all_schemas().items()
    }
    texts["asyncapi.yaml"] = _yaml(asyncapi_document())
    document = create_app(World().services()).openapi()
    texts["openapi.json"] = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return texts


def _yaml(document: object) -> str:
    # Through JSON, so that nothing is shared and no anchors are written.
    plain = json.loads(json.dumps(document))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def write(directory: Path) -> None:
    """Write the documents under `directory`, and take away schemas that are no more."""
    (directory / "schemas").mkdir(parents=True, exist_ok=True)
    texts = documents()
    for old in (directory / "schemas").glob("*.json"):
        if f"schemas/{old.name}" not in texts:
            old.unlink()
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
