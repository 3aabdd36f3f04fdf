"""The sounds that contracts name, and whether they are there."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from b2bua.call.prompts import sounds_of
from media.sounds import SoundFault, SoundLibrary
from routing.contract import Contract


def fill(library: SoundLibrary, folder: Path | None) -> list[SoundFault]:
    """Read every sound in ``folder``; slow, not from within an event loop. Returns what is wrong with files."""
    library.add_tones()
    return [] if folder is None else library.load_folder(folder)


def missing(library: SoundLibrary, contracts: Iterable[Contract]) -> Iterator[tuple[Contract, str]]:
    """Each contract with each sound that its calls would go without."""
    for contract in contracts:
        for fault in library.missing(sounds_of(contract)):
            yield contract, fault.name


def what_to_do(folder: Path | None) -> str:
    """The way to a sound that is not there."""
    if folder is None:
        return "name the folder of the sounds: [sounds] folder = ... in b2bua.toml"
    return f"put a file of that name into {folder}, or let `make sounds` make it"
