"""All collections of the server, and the aliases that stand for them."""

import json
import shutil
import threading
import uuid
from pathlib import Path

from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields, listed
from vecferry.testing.qdrant_server.refusals import BadInputError, ConflictError, NotFoundError
from vecferry.testing.qdrant_server.schema import Config, read_config

_FORBIDDEN = '<>:"/\\|?*\0'


class Catalog:
    """The collections below one directory, each in a directory of its own."""

    def __init__(self, root: Path) -> None:
        """Open every collection that is there."""
        self._root = root / "collections"
        self._root.mkdir(parents=True, exist_ok=True)
        self._aliases_file = root / "aliases.json"
        self._changing = threading.Lock()
        self._collections: dict[str, Collection] = {}
        for directory in sorted(self._root.iterdir()):
            if (directory / "meta.json").exists():
                collection = Collection.load(directory)
                self._collections[collection.name] = collection
            else:
                shutil.rmtree(directory)
        self._aliases: dict[str, str] = (
            json.loads(self._aliases_file.read_text()) if self._aliases_file.exists() else {}
        )

    def names(self) -> list[str]:
        """Return the names of the collections."""
        return sorted(self._collections)

    def exists(self, name: str) -> bool:
        """Tell whether a collection or an alias has that name."""
        return name in self._collections or name in self._aliases

    def get(self, name: str) -> Collection:
        """Return the collection of that name or alias.

        Raises:
            NotFoundError: There is none.
        """
        collection = self._collections.get(self._aliases.get(name, name))
        if collection is None:
            raise NotFoundError(f"Not found: Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, body: object) -> bool:
        """Make a collection as the body of a create request says."""
        if not 1 <= len(name) <= 255 or any(char in _FORBIDDEN for char in name):
            raise BadInputError(f"Validation error: {name!r} cannot name a collection")
        config = read_config(body)
        with self._changing:
            if self.exists(name):
                raise ConflictError(f"Wrong input: Collection `{name}` already exists!")
            directory = self._root / uuid.uuid4().hex
            self._collections[name] = Collection.create(directory, name, config)
        return True

    def delete(self, name: str) -> bool:
        """Delete a collection and the aliases of it; tell whether there was one."""
        with self._changing:
            collection = self._collections.pop(name, None)
            if collection is None:
                return False
            # Without its file it is gone for a server that starts again.
            (collection.directory / "meta.json").unlink()
            collection.close()
            shutil.rmtree(collection.directory)
            self._set_aliases({k: v for k, v in self._aliases.items() if v != name})
        return True

    def aliases(self, collection: str | None = None) -> list[Config]:
        """Return the aliases, of one collection or of all."""
        if collection is not None:
            collection = self.get(collection).name
        return [
            {"alias_name": alias, "collection_name": name}
            for alias, name in sorted(self._aliases.items())
            if collection in (None, name)
        ]

    def change_aliases(self, body: object) -> bool:
        """Apply all the actions of a request, or none."""
        fields = Fields(body, "an alias request")
        actions = listed(fields.need("actions"), "actions")
        fields.skip("timeout")
        fields.close()
        with self._changing:
            aliases = dict(self._aliases)
            for action in actions:
                self._act(aliases, action)
            self._set_aliases(aliases)
        return True

    def _act(self, aliases: dict[str, str], action: object) -> None:
        given = Fields(action, "an action").only("create_alias", "delete_alias", "rename_alias")
        if len(given) != 1:
            raise BadInputError("an action creates, deletes or renames an alias")
        if "create_alias" in given:
            create = Fields(given["create_alias"], "create_alias")
            alias, name = create.need("alias_name"), create.need("collection_name")
            create.close()
            if alias in self._collections:
                raise ConflictError(f"Wrong input: Collection `{alias}` already exists!")
            if name not in self._collections:
                raise NotFoundError(f"Not found: Collection `{name}` doesn't exist!")
            aliases[alias] = name
        elif "delete_alias" in given:
            delete = Fields(given["delete_alias"], "delete_alias")
            aliases.pop(delete.need("alias_name"), None)
            delete.close()
        else:
            rename = Fields(given["rename_alias"], "rename_alias")
            old, new = rename.need("old_alias_name"), rename.need("new_alias_name")
            rename.close()
            if old not in aliases:
                raise NotFoundError(f"Not found: Alias {old} does not exists!")
            aliases[new] = aliases.pop(old)

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        fresh = self._aliases_file.with_suffix(".new")
        fresh.write_text(json.dumps(aliases))
        fresh.replace(self._aliases_file)
        self._aliases = aliases

    def flush(self) -> None:
        """Flush every collection."""
        for collection in list(self._collections.values()):
            try:
                collection.flush()
            except NotFoundError:
                continue  # it was deleted in between

    def close(self) -> None:
        """Close every collection."""
        for collection in list(self._collections.values()):
            collection.close()
