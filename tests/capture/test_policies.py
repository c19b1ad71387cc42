"""Policies of reinforcement learning as their libraries write them: distributions, flags, tuples of
results."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from autolip.capture.replay import replay
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError
from autolip.graph.evaluate import evaluate

OBSERVATION = torch.tensor([[0.1, -0.2, 0.3, 0.4]])


class Policy(nn.Module):
    """An actor and a critic on shared features; the actor's head gives a normal or a categorical
    distribution."""

    def __init__(self, continuous: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.flatten, self.continuous = nn.Flatten(), continuous
        self.actor = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
        self.critic = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
        self.log_std = nn.Parameter(torch.tensor([0.1, -0.3]))

    def distribution(self, observation: Tensor) -> Normal | Categorical:
        head = self.actor(self.flatten(observation.float()))
        return (
            Normal(head, torch.ones_like(head) * self.log_std.exp())
            if self.continuous
            else Categorical(logits=head)
        )

    def forward(
        self, observation: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = self.distribution(observation)
        mode = found.mean if self.continuous else found.probs.argmax(1)
        action = mode if deterministic else found.sample()
        return action, self.critic(self.flatten(observation)), found.log_prob(action)

    def evaluate_actions(
        self, observation: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = self.distribution(observation)
        return self.critic(self.flatten(observation)), found.log_prob(actions), found.entropy()


def test_the_action_of_a_deterministic_policy_and_its_value() -> None:
    policy = Policy(continuous=True).eval()
    for number, net in ((0, policy.actor), (1, policy.critic)):
        capture = capture_model(policy, (OBSERVATION, True), outputs=number)
        assert replay(capture) <= 1e-6
        torch.testing.assert_close(
            evaluate(capture.graph, OBSERVATION.double()).float(), net(OBSERVATION)
        )


def test_the_value_of_a_policy_that_draws_its_action() -> None:
    assert replay(capture_model(Policy(continuous=False), (OBSERVATION,), outputs=1)) <= 1e-6


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("continuous", [True, False])
def test_values_log_probabilities_and_entropies_of_given_actions(
    continuous: bool, number: int
) -> None:
    policy = Policy(continuous)
    actions = torch.tensor([[0.5, 0.5]]) if continuous else torch.tensor([1])
    replay(capture_model(policy.evaluate_actions, (OBSERVATION, actions), outputs=number))


def test_probabilities_by_the_remedy_that_the_refusal_names() -> None:
    policy = Policy(continuous=False)
    with pytest.raises(InputError, match="returns a Categorical: return its tensors"):
        capture_model(policy.distribution, (OBSERVATION,))
    replay(capture_model(lambda x: policy.distribution(x).probs, (OBSERVATION,)))


@pytest.mark.parametrize(
    ("continuous", "arguments", "outputs", "reason"),
    [
        (True, (OBSERVATION,), None, r"returns 3 tensors .*choose one by name or number"),
        (True, (OBSERVATION,), 0, "draws random numbers, .*deterministic=True of a policy"),
        (
            False,
            (OBSERVATION, True),
            0,
            "is torch.int64: .*return the values before the comparison or the index",
        ),
    ],
)
def test_refusals_name_a_remedy(
    continuous: bool, arguments, outputs: int | None, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        capture_model(Policy(continuous), arguments, outputs=outputs)


def test_distributions_check_their_arguments_again_afterwards() -> None:
    before = torch.distributions.Distribution._validate_args
    capture_model(Policy(continuous=True), (OBSERVATION, True), outputs=0)
    assert torch.distributions.Distribution._validate_args is before
