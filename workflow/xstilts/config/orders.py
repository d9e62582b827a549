"""Recipes that are chains of the same tasks in different orders: does the order matter?"""

import random
from collections.abc import Callable
from math import factorial
from typing import Literal

from pydantic import Field, model_validator

from xstilts.config.origins import Strict
from xstilts.recipe import Part, parse

_BY_SIZE = {"size_up": 1, "size_down": -1}


class Orders(Strict):
    """Given and random orders of k tasks, and recipes without an order to compare with.

    All recipes train for the same number of optimiser steps. A chain divides them equally among
    its k tasks, and so does `merge`, the mean of one training on each. `mixture` (all tasks) and
    `alone_<task>` spend them in one step. Random orders are named `random_1`, `random_2` and so on.
    """

    tasks: list[str] = Field(
        min_length=2,
        description="Intermediate tasks, written as in a recipe, such as `squad@de~10k`.",
    )
    steps: int = Field(
        gt=0, description="Optimiser steps of each recipe; a multiple of the number of tasks."
    )
    given: list[Literal["size_up", "size_down"] | dict[str, list[str]]] = Field(
        [],
        description="Orders by number of examples (`size_up`, `size_down`), or your own as "
        "`{name: [task, …]}`, such as by similarity to the target.",
    )
    random: int = Field(
        0, ge=0, description="Number of random orders, drawn from all orders that are not given."
    )
    seed: int = Field(0, description="Seed of the random orders.")
    forgetting: bool = Field(
        False,
        description="Score each task of a chain after its own step and every later step, with "
        "the head of its own step, if it has test or validation data.",
    )

    @model_validator(mode="after")
    def _are_orders(self) -> "Orders":
        for text in self.tasks:
            if len(parse(text).parts) != 1:
                raise ValueError(f"tasks: {text!r}: expected one task")
        names = [parse(text).parts[0].task for text in self.tasks]
        if len(set(names if self.forgetting else self.tasks)) < len(self.tasks):
            raise ValueError("tasks: a task is given twice; expected different tasks")
        if self.steps % len(self.tasks):
            raise ValueError(
                f"steps: {self.steps} is not allowed; expected a multiple of the number of tasks, "
                f"{len(self.tasks)}"
            )
        for entry in self.given:
            for name, order in entry.items() if isinstance(entry, dict) else ():
                if sorted(order) != sorted(self.tasks):
                    raise ValueError(f"given.{name}: expected an order of {', '.join(self.tasks)}")
        return self

    def chains(self, examples: Callable[[Part], int]) -> dict[str, list[str]]:
        """Return the orders by name; `examples` counts the training examples of a recipe's part."""
        orders: dict[str, list[str]] = {}
        for entry in self.given:
            if isinstance(entry, dict):
                orders |= entry
            else:
                count = {text: examples(parse(text).parts[0]) for text in self.tasks}
                orders[entry] = sorted(self.tasks, key=lambda text: _BY_SIZE[entry] * count[text])
        drawn: list[list[str]] = []
        given = list(orders.values())
        remaining = factorial(len(self.tasks)) - len(set(map(tuple, given)))
        rng = random.Random(self.seed)
        while len(drawn) < min(self.random, remaining):
            order = rng.sample(self.tasks, len(self.tasks))
            if order not in [*given, *drawn]:
                drawn.append(order)
        return orders | {f"random_{number}": order for number, order in enumerate(drawn, 1)}

    def recipes(self, examples: Callable[[Part], int]) -> dict[str, str]:
        """Return the recipes by name: the chains, then those without an order."""
        share = self.steps // len(self.tasks)
        training = {task: f"{task}~{share}steps" for task in self.tasks}
        chains = self.chains(examples).items()
        recipes = {name: "-".join(map(training.get, order)) for name, order in chains}
        recipes["mixture"] = "+".join(self.tasks) + f"~{self.steps}steps"
        recipes["merge"] = "|".join(training.values())
        return recipes | {f"alone_{task}": f"{task}~{self.steps}steps" for task in self.tasks}
