"""Single scenario: an MLP for each scenario, which sees no row of another; only embeddings are shared."""

from __future__ import annotations

from torch import Tensor

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.routing import RoutedLinear, RoutedMLP, route
from training.models.base import Ranker


class SingleScenario(Ranker):
    """logits = MLP_scenario(all inputs) W_scenario + b_scenario; all scenarios start alike.

    A scenario unseen in training (index 0) is scored with the mean of all scenarios' weights.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig) -> None:
        super().__init__(spec, config)
        self.mlp = RoutedMLP(spec.scenarios, self.inputs.width(*Role), config.hidden)
        self.out = RoutedLinear(spec.scenarios, config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        routes = route(inputs.scenario_index, self.spec.scenarios)
        hidden = self.mlp(routes.to_tiles(inputs.of(*Role)), routes)
        return routes.to_rows(self.out(hidden, routes))


MODEL = SingleScenario
