"""Write a generation that nobody reads, then let everybody read it, in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from features.stores.errors import StoreError
from features.stores.packed.backend import Backend
from features.stores.packed.pointer import Build, Pointer
from features.stores.packed.schema import ViewSchema
from features.stores.packed.witness import Witness


def begin(backend: Backend, schemas: Iterable[ViewSchema], about: dict[str, Any]) -> Build:
    """Make room for a new generation of the rows of `schemas`, and remove what no reader needs.

    A run that was killed has left a generation behind; it is among what is removed. A run that is still
    writing finds out when it is to be read.
    """
    schemas = list(schemas)

    def announce(pointer: Pointer) -> Pointer:
        numbers = [0, *pointer.generations.values(), *(number for _, number in backend.generations())]
        if pointer.building:
            numbers.append(pointer.building.generation)
        return replace(pointer, building=Build(max(numbers) + 1, about, evicted))

    evicted = backend.census().evicted
    build = _move(backend, announce).building
    assert build is not None  # noqa: S101  # announce has put it there
    sweep(backend)
    if build.generation == 1:  # a store that has lost its records may still have rows of an earlier first one
        for entity in {schema.entity for schema in schemas}:
            backend.drop_generation(entity, build.generation)
    backend.make_room(schemas, build.generation)
    return build


def finish(backend: Backend, build: Build, entities: Iterable[str], served: dict[str, Any]) -> None:
    """Let `build` be read in place of what is read now of `entities`, and say that it serves `served`.

    Raises:
        StoreError: another run has begun meanwhile, and has removed this one's rows; or the store itself has
            thrown some away.
    """
    entities = set(entities)
    if lost := Witness(evicted=build.evicted).loss(backend.census()):
        raise StoreError(
            f"{lost} while {build.about} was written; nothing of it is served. Give the server more memory "
            "and `maxmemory-policy noeviction`, then run it again"
        )

    def point(pointer: Pointer) -> Pointer:
        if all(pointer.read(entity) == build.generation for entity in entities):
            return pointer  # the answer to an earlier attempt was lost
        if pointer.building != build:
            raise StoreError(
                f"another run began to write the online store while this one wrote {build.about}; "
                "nothing of this one is served. See what the other run serves, and run it again if need be"
            )
        generations = {**pointer.generations, **dict.fromkeys(entities, build.generation)}
        keys = {entity: backend.count(entity, build.generation) for entity in entities}
        known = pointer.witness.keys if pointer.witness else {}
        return Pointer(generations, None, served, Witness({**known, **keys}, build.evicted))

    _move(backend, point)
    sweep(backend)


def withdraw(backend: Backend) -> None:
    """Serve nothing; rows stay for Feast's own calls."""
    _move(backend, lambda pointer: Pointer(pointer.generations, pointer.building))


def loss(backend: Backend, pointer: Pointer) -> str:
    """Why rows that `pointer` serves may be missing; empty when none is known to be."""
    return "" if pointer.witness is None else pointer.witness.loss(backend.census())


def drop_view(backend: Backend, entity: str, view: str) -> None:
    """Forget the rows of a view in every generation; keys that go with it do not count as lost."""
    pointer = Pointer.parse(backend.pointer())
    intact = pointer.witness is not None and not loss(backend, pointer)
    backend.drop_view(entity, view)

    def recount(pointer: Pointer) -> Pointer:
        known = pointer.witness or Witness()
        left = backend.count(entity, pointer.read(entity))
        return replace(pointer, witness=replace(known, keys={**known.keys, entity: left}))

    if intact:
        _move(backend, recount)


def sweep(backend: Backend) -> None:
    """Remove generations that are neither read nor written."""
    known = backend.generations()  # before the pointer, which names every one that was begun by now
    pointer = Pointer.parse(backend.pointer())
    for entity, generation in known:
        if generation not in pointer.written(entity):
            backend.drop_generation(entity, generation)


def _move(backend: Backend, change: Callable[[Pointer], Pointer]) -> Pointer:
    """Replace the pointer by what `change` makes of it, whoever else replaces it at the same time."""
    while True:
        old = backend.pointer()
        new = change(Pointer.parse(old))
        if backend.replace_pointer(old, new.dump()):
            return new
