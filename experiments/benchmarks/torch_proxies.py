"""Zero-cost proxies in PyTorch, by their formulas and as NASLib runs them: a copy and a pass each.

What ``experiments.benchmarks.suite`` measures us against, and the tests compare numbers with.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasproxy.networks import layers
from nasproxy.networks.initialised import Initialised

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "swish": nn.SiLU,
    "none": nn.Identity,
}


def summed(inputs: Sequence[Tensor], channels: int) -> Tensor:
    """Inputs truncated to their first channels, and added."""
    total = inputs[0][:, :channels]
    for x in inputs[1:]:
        total = total + x[:, :channels]
    return total


class ConvBN(nn.Module):
    """Of a layer of ours with a convolution, or with the norm alone."""

    def __init__(self, layer: Any, params: dict[str, Any]):
        super().__init__()
        self.layer = layer
        self.first = nn.ReLU() if getattr(layer, "preactivation", False) else nn.Identity()
        self.conv: nn.Module = nn.Identity()
        if "kernel" in params:
            kernel = tensor(np.asarray(params["kernel"]).transpose(3, 2, 0, 1))
            outputs, per_group, size, _ = kernel.shape
            groups = outputs if isinstance(layer, layers.DepthwiseBN) else 1
            stride = getattr(layer, "stride", 1)
            self.conv = nn.Conv2d(
                per_group * groups, outputs, size, stride, size // 2, groups=groups, bias=False
            )
            self.conv.weight = nn.Parameter(kernel)
        self.norm: nn.Module = nn.Identity()
        self.last: nn.Module = nn.Identity()
        if isinstance(layer, layers.PointwiseConv):
            return
        self.norm = nn.BatchNorm2d(layer.outputs)
        self.last = ACTIVATIONS[layer.activation]()

    def forward(self, *inputs: Tensor) -> Tensor:
        own = inputs[:1] if isinstance(self.layer, layers.ProjectAdd) else inputs
        channels = getattr(self.layer, "inputs", None) or self.layer.outputs
        made = self.last(self.norm(self.conv(self.first(summed(own, channels)))))
        if isinstance(self.layer, layers.ProjectAdd) and len(inputs) > 1:
            return summed((made, *inputs[1:]), self.layer.outputs)
        return made


FUNCTIONS: dict[type, Callable[..., Tensor]] = {
    layers.Add: lambda layer, *x: summed(x, layer.channels),
    layers.Concatenate: lambda layer, *x: torch.cat(
        [one[:, :c] for one, c in zip(x, layer.channels, strict=True)], 1
    ),
    layers.Zero: lambda layer, x: torch.zeros_like(x[:, : layer.channels]),
    layers.MaxPool3x3: lambda layer, *x: F.max_pool2d(summed(x, layer.channels), 3, 1, 1),
    layers.AveragePool3x3: lambda layer, *x: F.avg_pool2d(
        summed(x, layer.channels), 3, 1, 1, count_include_pad=False
    ),
    layers.Halve: lambda layer, x: F.max_pool2d(x, 2),
    layers.HalveByMean: lambda layer, x: F.avg_pool2d(x, 2),
    layers.GlobalAverage: lambda layer, x: x.mean((2, 3)),
}


class Network(nn.Module):
    """A network of ours in PyTorch, with the same weights; every step is run."""

    def __init__(self, network: Initialised):
        super().__init__()
        self.steps = network.graph.steps
        self.parts = nn.ModuleDict()
        for place, (step, params) in enumerate(
            zip(network.graph.steps, network.complete, strict=True)
        ):
            if isinstance(step.layer, layers.Dense):
                linear = nn.Linear(step.layer.inputs, step.layer.outputs)
                linear.weight = nn.Parameter(tensor(np.asarray(params["kernel"]).T))
                linear.bias = nn.Parameter(tensor(np.asarray(params["bias"])))
                self.parts[str(place)] = linear
            elif params:
                self.parts[str(place)] = ConvBN(step.layer, params)

    def values(self, x: Tensor) -> list[Tensor]:
        """From the images to the logits."""
        values = [x]
        for place, step in enumerate(self.steps):
            inputs = [values[i] for i in step.inputs]
            if str(place) in self.parts:
                values.append(self.parts[str(place)](*inputs))
            else:
                values.append(FUNCTIONS[type(step.layer)](step.layer, *inputs))
        return values

    def forward(self, x: Tensor) -> Tensor:
        return self.values(x)[-1]


def tensor(array: np.ndarray) -> Tensor:
    """A copy."""
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def weighted(net: nn.Module) -> list[Any]:
    """Its convolutions and affine maps."""
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _backward(net: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    F.cross_entropy(net(x), y).backward()
    return [m.weight.grad for m in weighted(net) if m.weight.grad is not None]


def l2_norm(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = copy.deepcopy(net)
    return sum(float(m.weight.detach().norm()) for m in weighted(net))


def grad_norm(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return sum(float(g.norm()) for g in _backward(copy.deepcopy(net), x, y))


def snip(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = copy.deepcopy(net)
    _backward(net, x, y)
    some = [m.weight for m in weighted(net) if m.weight.grad is not None]
    return sum(float((w.detach() * w.grad).abs().sum()) for w in some)


def plain(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = copy.deepcopy(net)
    _backward(net, x, y)
    some = [m.weight for m in weighted(net) if m.weight.grad is not None]
    return sum(float((w.detach() * w.grad).sum()) for w in some)


def grasp(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = copy.deepcopy(net)
    weights = [m.weight for m in weighted(net)]
    first = torch.autograd.grad(F.cross_entropy(net(x), y), weights, allow_unused=True)
    again = torch.autograd.grad(
        F.cross_entropy(net(x), y), weights, create_graph=True, allow_unused=True
    )
    product: Any = sum(
        (a.detach() * b).sum() for a, b in zip(first, again, strict=True) if b is not None
    )
    product.backward()
    return sum(float((-w.detach() * w.grad).sum()) for w in weights if w.grad is not None)


def fisher(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = copy.deepcopy(net)
    made: dict[Any, Tensor] = {}

    def keep(module: Any, inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        made[module] = output

    for module in weighted(net):
        module.register_forward_hook(keep)
    _backward(net, x, y)
    total = 0.0
    for module, output in made.items():
        if output.grad is None:
            continue
        product = output.detach() * output.grad
        of_image = product.sum((2, 3)) if product.ndim == 4 else product
        salience = 0.5 * of_image.pow(2).mean(0)
        total += float(salience.sum()) * module.weight[0].numel()
    return total


def _flow(net: nn.Module, x: Tensor) -> list[Any]:
    net = copy.deepcopy(net).double()
    for module in net.modules():
        if isinstance(module, ConvBN):
            module.norm = nn.Identity()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    net(torch.ones((1, *x.shape[1:]), dtype=torch.float64)).sum().backward()
    return [m.weight for m in weighted(net) if m.weight.grad is not None]


def synflow(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return sum(float((w.detach() * w.grad).abs().sum()) for w in _flow(net, x))


def logsynflow(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return sum(float((w.detach() * (w.grad + 1).log()).abs().sum()) for w in _flow(net, x))


def _correlations(net: nn.Module, x: Tensor) -> np.ndarray:
    net, x = copy.deepcopy(net), x.clone().requires_grad_(True)
    made = net(x)
    made.backward(torch.ones_like(made))
    assert x.grad is not None
    return np.corrcoef(x.grad.reshape(len(x), -1).numpy())


def jacov(net: nn.Module, x: Tensor, y: Tensor) -> float:
    values, _ = np.linalg.eig(_correlations(net, x))
    return float(-np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)).real)


def epe_nas(net: nn.Module, x: Tensor, y: Tensor) -> float:
    correlations = _correlations(net, x)
    total = 0.0
    for label in y.unique():
        own = np.flatnonzero(y.numpy() == int(label))
        total += abs(np.log(np.abs(correlations[np.ix_(own, own)]) + 1e-5).sum())
    return total


def nwot(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = copy.deepcopy(net)
    kernel = np.zeros((len(x), len(x)))

    def count(module: Any, inputs: Any, output: Tensor) -> None:
        nonlocal kernel
        on = (inputs[0].reshape(len(x), -1) > 0).float()
        kernel = kernel + (on @ on.T).numpy() + ((1 - on) @ (1 - on).T).numpy()

    for module in net.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(x)
    return float(np.linalg.slogdet(kernel)[1])


def zen(net: nn.Module, x: Tensor, y: Tensor, moved: Tensor | None = None) -> float:
    """Of its weights drawn anew; those of the network, and no images, where ``moved`` is given."""
    net = copy.deepcopy(net)
    with torch.no_grad():
        if moved is None:
            for module in weighted(net):
                nn.init.normal_(module.weight)
            x = torch.randn_like(x)
            moved = x + 0.01 * torch.randn_like(x)
        first, second = net.values(x)[-3], net.values(moved)[-3]  # type: ignore[operator]
        score = float((first - second).abs().sum((1, 2, 3)).mean().log())
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                score += float(module.running_var.mean().sqrt().log())
    return score


def zico(net: nn.Module, x: Tensor, y: Tensor, more: tuple[Tensor, Tensor] | None = None) -> float:
    """Of two batches; the first again, its images shuffled among labels, without a second."""
    net = copy.deepcopy(net)
    grads: list[list[np.ndarray]] = []
    for images, labels in ((x, y), more or (x.flip(0), y)):
        net.zero_grad()
        grads.append([g.numpy().copy().ravel() for g in _backward(net, images, labels)])
    total = 0.0
    for both in zip(*grads, strict=True):
        wide = np.array(both)
        deviation, mean = wide.std(0), np.abs(wide).mean(0)
        some = deviation > 0
        if some.any():
            total += float(np.log((mean[some] / deviation[some]).sum()))
    return total


PROXIES: dict[str, Callable[..., float]] = {
    f.__name__: f
    for f in (
        l2_norm,
        grad_norm,
        snip,
        plain,
        grasp,
        fisher,
        synflow,
        logsynflow,
        jacov,
        epe_nas,
        nwot,
        zen,
        zico,
    )
}
"""By the names that ours have; each takes a network in training mode, images and labels."""
