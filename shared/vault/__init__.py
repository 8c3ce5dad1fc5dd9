"""The vault: what is known about a person lies sealed, under a key of the case's own, and no key without a log entry.

Three rules hold by construction. A value is opened with its case's key alone, and only in the place it was sealed for
(table, column, row). The one statement that hands out keys also writes who gets them, why, and on what legal basis.
And a key that was destroyed leaves nothing that could ever be opened again.
"""

from shared.vault.access import Access, Action
from shared.vault.erasing import Forget, erasure_of, order_erasure
from shared.vault.keys import Erased, Unlocked, erase, has_key, make_key, masters_of, note_access, rewrap, unlock
from shared.vault.masters import MasterKeys, MasterKeysError, new_master_keys, read_master_keys
from shared.vault.sealing import DataKey, Place, Unsealable

__all__ = [
    "Access",
    "Action",
    "DataKey",
    "Erased",
    "Forget",
    "MasterKeys",
    "MasterKeysError",
    "Place",
    "Unlocked",
    "Unsealable",
    "erase",
    "erasure_of",
    "has_key",
    "make_key",
    "masters_of",
    "new_master_keys",
    "note_access",
    "order_erasure",
    "read_master_keys",
    "rewrap",
    "unlock",
]
