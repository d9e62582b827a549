"""Chains of the same tasks in different orders, as recipes: does the order matter?"""

import random
from collections.abc import Callable
from math import factorial
from typing import Literal

from pydantic import Field, model_validator

from xstilts.config.origins import Strict
from xstilts.recipe import Part, parse

_BY_SIZE = {"size_up": 1, "size_down": -1}


class Orders(Strict):
    """Given and random orders of k tasks, and the controls: all mixed, and each task alone.

    All take the same number of optimiser steps: a chain gives each of its k tasks an equal share,
    the mixture `mixture` and the single tasks `alone_<task>` have them all. Random orders are
    called `random_1` and so on.
    """

    tasks: list[str] = Field(
        min_length=2, description="Intermediate tasks, written as in a recipe: `squad@de~10k`."
    )
    steps: int = Field(gt=0, description="Optimiser steps of each recipe; a multiple of k.")
    given: list[Literal["size_up", "size_down"] | dict[str, list[str]]] = Field(
        [],
        description="By the number of examples, or `{name: [task, …]}`, as by similarity to the "
        "target.",
    )
    random: int = Field(0, ge=0, description="So many orders, drawn from all others.")
    seed: int = Field(0, description="Of the random orders.")
    forgetting: bool = Field(
        False,
        description="Score each task of a chain after its own and every later step, with the head "
        "that its own step trained.",
    )

    @model_validator(mode="after")
    def _are_orders(self) -> "Orders":
        for text in self.tasks:
            if len(parse(text).parts) != 1:
                raise ValueError(f"tasks: {text!r}: expected one task")
        names = [parse(text).parts[0].task for text in self.tasks]
        if len(set(names if self.forgetting else self.tasks)) < len(self.tasks):
            raise ValueError("tasks: expected different ones")
        if self.steps % len(self.tasks):
            raise ValueError(f"steps: {self.steps} is no multiple of the {len(self.tasks)} tasks")
        for entry in self.given:
            for name, order in entry.items() if isinstance(entry, dict) else ():
                if sorted(order) != sorted(self.tasks):
                    raise ValueError(f"given.{name}: expected an order of {', '.join(self.tasks)}")
        return self

    def chains(self, examples: Callable[[Part], int]) -> dict[str, list[str]]:
        """Name to order. `examples` tells how many training examples a part of a recipe has."""
        found: dict[str, list[str]] = {}
        for entry in self.given:
            if isinstance(entry, dict):
                found |= entry
            else:
                count = {text: examples(parse(text).parts[0]) for text in self.tasks}
                found[entry] = sorted(self.tasks, key=lambda text: _BY_SIZE[entry] * count[text])
        drawn: list[list[str]] = []
        given = list(found.values())
        others = factorial(len(self.tasks)) - len(set(map(tuple, given)))
        rng = random.Random(self.seed)
        while len(drawn) < min(self.random, others):
            order = rng.sample(self.tasks, len(self.tasks))
            if order not in [*given, *drawn]:
                drawn.append(order)
        return found | {f"random_{number}": order for number, order in enumerate(drawn, 1)}

    def share(self) -> int:
        """Optimiser steps of each task of a chain."""
        return self.steps // len(self.tasks)

    def recipes(self, examples: Callable[[Part], int]) -> dict[str, str]:
        """Name to recipe: the chains, then the controls."""
        found = {
            name: "-".join(f"{task}~{self.share()}steps" for task in order)
            for name, order in self.chains(examples).items()
        }
        found["mixture"] = "+".join(self.tasks) + f"~{self.steps}steps"
        return found | {f"alone_{task}": f"{task}~{self.steps}steps" for task in self.tasks}
