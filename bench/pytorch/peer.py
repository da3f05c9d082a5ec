#!/usr/bin/env python3
"""One training round of PoM2-DIB on HandWritten (defaults) in PyTorch: the yardstick for `pom2dib run`.

One process, no network. Batched over the round's ticks: one pass of each encoder over all entries that it is granted,
one pass of each decoder a receiver, one pass of each selector over all ticks. README.md says what is compared.
"""

import argparse
import json
import math
import statistics
import sys
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The scenario: (25) of the paper with the hyper-parameters of scenarios/handwritten.toml.
TRANSMITTERS = [["noise-1", "noise-2", "fft"], ["noise-2", "fft", "mel"], ["fft", "mel", "noise-1"]]
RECEIVERS = {"parity": 2, "ring": 6, "digit": 10}
WIDTHS = {"noise-1": 196, "noise-2": 196, "fft": 196, "mel": 512}
FEATURE_DIM, RECEIVER_LIMIT, TRANSMITTER_LIMIT = 24, 2, 4
TICKS, SAMPLES, BETA = 20, 20, 1e-3
CODING_RATE, SELECTION_RATE, WEIGHT_DECAY, SELECTION_CLIP = 1e-4, 5e-5, 1e-4, 10.0

# The same of scenarios/handwritten-cnn.toml, for --cnn: what images a modality's encoder convolves, and what its trunk gives.
CONVOLVED: dict[str, tuple[int, int]] = {}
SEEN = 128

K, T = len(TRANSMITTERS), len(RECEIVERS)
ENTRIES = [(k, m) for k, modalities in enumerate(TRANSMITTERS) for m in range(len(modalities))]
RINGS = [0, 5, 5, 5, 1, 5, 2, 5, 3, 4]
WARM_UP = 10


# ------------------------------------------------------------------------------------------------------------ networks


class ResidualBlock(nn.Module):
    """relu(W2 relu(W1 x + b1) + b2 + Ws x)."""

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.first, self.second = nn.Linear(inputs, size), nn.Linear(size, size)
        self.shortcut = nn.Linear(inputs, size, bias=False) if inputs != size else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu_(self.first(x))
        return F.relu_(self.second(hidden) + self.shortcut(x))


def use_convolutions():
    """The image in place of its spectrum, and convolutional encoders of image and mel spectrogram."""
    for modalities in TRANSMITTERS:
        modalities[:] = ["image" if name == "fft" else name for name in modalities]
    del WIDTHS["fft"]
    WIDTHS["image"] = 784
    CONVOLVED.update({"image": (28, 28), "mel": (16, 32)})


class Base(nn.Sequential):
    """The base network of all encoders, decoders and selectors."""

    def __init__(self, inputs: int, outputs: int, sizes: tuple[int, ...] = (512, 256)):
        pairs = zip((inputs, *sizes), sizes)
        blocks = [layer for before, size in pairs for layer in (ResidualBlock(before, size), nn.LayerNorm(size))]
        super().__init__(*blocks, nn.Linear(sizes[-1], outputs))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class Trunk(nn.Sequential):
    """Two convolutions, and a linear layer."""

    def __init__(self, height: int, width: int):
        halves = [nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()]
        places = -(-height // 4) * -(-width // 4)
        super().__init__(nn.Unflatten(1, (1, height, width)), *halves, nn.Flatten(), nn.Linear(16 * places, SEEN))
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)


class Encoder(nn.Module):
    """The base network of a sample and the receiver's embedding; behind a trunk, a smaller one of what that sees."""

    def __init__(self, name: str):
        super().__init__()
        self.trunk = Trunk(*CONVOLVED[name]) if name in CONVOLVED else None
        d, inputs = FEATURE_DIM, SEEN if self.trunk else WIDTHS[name]
        self.head = Base(inputs + d, 2 * d, (256,)) if self.trunk else Base(inputs + d, 2 * d)

    def see(self, samples: Tensor, tick: Tensor) -> Tensor:
        """What the head is given of the samples of ticks, [n, samples, values]: a trunk runs once a tick."""
        if self.trunk is None:
            return samples[tick]
        ticks, of_entry = tick.unique(return_inverse=True)
        return self.trunk(samples[ticks].flatten(0, 1)).view(len(ticks), SAMPLES, -1)[of_entry]

    def forward(self, rows: Tensor) -> Tensor:
        """mu and what std is made of, of samples with the embedding behind each."""
        if self.trunk is not None:
            samples, embedding = rows.split([rows.shape[-1] - FEATURE_DIM, FEATURE_DIM], -1)
            rows = torch.cat((self.trunk(samples), embedding), -1)
        return self.head(rows)


class Networks(nn.Module):
    """All networks of all nodes."""

    def __init__(self):
        super().__init__()
        d = FEATURE_DIM
        self.encoders = nn.ModuleList(Encoder(TRANSMITTERS[k][m]) for k, m in ENTRIES)
        self.joint = nn.ModuleList(Base(len(ENTRIES) * d, classes) for classes in RECEIVERS.values())
        self.local = nn.ModuleList(Base(2 * d, classes) for classes in RECEIVERS.values())
        self.requesting = nn.ModuleList(Base(d, RECEIVER_LIMIT + K) for _ in range(T))
        self.choosing = nn.ModuleList(Base(2 * d, most_choices(k) + len(TRANSMITTERS[k])) for k in range(K))
        self.rate = Rate()
        self.register_buffer("of_receiver", 0.1 * torch.randn(T, d))
        self.register_buffer("of_entry", 0.1 * torch.randn(len(ENTRIES), d))

    def selectors(self) -> list[Base]:
        return [*self.requesting, *self.choosing]

    def coders(self) -> list[nn.Module]:
        return [*self.encoders, *self.joint, *self.local]


def most_choices(k: int) -> int:
    """How many modalities transmitter k's selector may draw for one receiver."""
    return min(TRANSMITTER_LIMIT, len(TRANSMITTERS[k]))


# ----------------------------------------------------------------------------------------------------------- selection


@dataclass
class Draw:
    """What a selector drew for each row: the first `count` items of `order`."""

    count: Tensor  # [...]
    order: Tensor  # [..., items]

    def chosen(self) -> Tensor:
        """Whether each item was drawn, [..., items]."""
        return self.order.argsort(-1) < self.count.unsqueeze(-1)


def draw(logits: Tensor, counts: int) -> Draw:
    """First how many (softmax of the first logits), then which without replacement (of the rest): Gumbel's trick."""
    keys = logits.detach() - torch.empty_like(logits).exponential_().log_()
    return Draw(1 + keys[..., :counts].argmax(-1), keys[..., counts:].argsort(-1, descending=True))


def log_probability(logits: Tensor, counts: int, drawn: Draw) -> Tensor:
    """The logarithm of the probability of the drawn sequences."""
    count = logits[..., :counts].log_softmax(-1).gather(-1, drawn.count.unsqueeze(-1) - 1).squeeze(-1)
    items = logits[..., counts:].gather(-1, drawn.order)
    steps = items - items.flip(-1).logcumsumexp(-1).flip(-1)
    taken = torch.arange(steps.shape[-1], device=steps.device) < drawn.count.unsqueeze(-1)
    return count + (steps * taken).sum(-1)


def cap(choices: Tensor, limit: int) -> Tensor:
    """Keeps a uniform subset of `limit` of the choices of each tick: [ticks, T, modalities]."""
    flat = choices.flatten(1)
    keys = torch.rand(flat.shape, device=flat.device).masked_fill_(~flat, -1.0)
    ranks = keys.argsort(-1, descending=True).argsort(-1)
    return (flat & (ranks < limit)).view_as(choices)


@dataclass
class Choice:
    """The selection of a round."""

    requests: list[Draw]  # by receiver: [ticks]
    choices: list[Draw]  # by transmitter: [ticks, T], meaningless where not requested
    requested: Tensor  # [ticks, T, K]
    granted: Tensor  # [entries, ticks, T], on the host
    log_probabilities: Tensor  # [ticks, T]: of the receiver's own requests, and of all choices made for it


def choose(networks: Networks, u: Tensor) -> Choice:
    """Runs all selectors over the full grid, draws and caps: u is [ticks, d]."""
    requesting = [selector(u) for selector in networks.requesting]
    requests = [draw(logits, RECEIVER_LIMIT) for logits in requesting]
    requested = torch.stack([drawn.chosen() for drawn in requests], 1)

    grid = torch.cat((u.unsqueeze(1).expand(-1, T, -1), networks.of_receiver.expand(len(u), -1, -1)), -1)
    choosing = [selector(grid) for selector in networks.choosing]
    choices = [draw(logits, most_choices(k)) for k, logits in enumerate(choosing)]
    wanted = [drawn.chosen() & requested[:, :, k, None] for k, drawn in enumerate(choices)]
    granted = [cap(chosen, TRANSMITTER_LIMIT).permute(2, 0, 1) for chosen in wanted]
    on_host = torch.cat(granted).cpu()

    own = [log_probability(logits, RECEIVER_LIMIT, drawn) for logits, drawn in zip(requesting, requests)]
    log_probabilities = torch.stack(own, 1)
    for k, grants in enumerate(on_host.split([len(modalities) for modalities in TRANSMITTERS])):
        # A transmitter that nobody requested has nothing to learn, and must not step.
        if grants.any():
            of_choices = log_probability(choosing[k], most_choices(k), choices[k])
            log_probabilities = log_probabilities + of_choices * requested[:, :, k]
    return Choice(requests, choices, requested, on_host, log_probabilities)


# -------------------------------------------------------------------------------------------------------------- coding


@dataclass
class Batch:
    """The samples of a round, shared by all nodes."""

    modalities: dict[str, Tensor]  # [ticks, samples, width]
    labels: list[Tensor]  # by receiver: [ticks, samples]


@dataclass
class Grants:
    """The granted entries of a round, ordered by entry, tick and receiver."""

    entry: Tensor  # [n]
    tick: Tensor  # [n]
    receiver: Tensor  # [n]
    of_encoder: list[int]  # how many each encoder has
    of_receiver: list[Tensor]  # the positions of each receiver's
    empty: Tensor  # [ticks, T]: who is granted nothing

    @staticmethod
    def from_mask(granted: Tensor, device: torch.device) -> "Grants":
        """From [entries, ticks, T] on the host: all indices are made there, so that a GPU is never waited for."""
        entry, tick, receiver = granted.nonzero(as_tuple=True)
        positions = [(receiver == t).nonzero().squeeze(1).to(device) for t in range(T)]
        sizes = granted.sum((1, 2)).tolist()
        indices = (index.to(device) for index in (entry, tick, receiver))
        return Grants(*indices, sizes, positions, ~granted.any(0).to(device))

    def __len__(self) -> int:
        return len(self.entry)


class Rate(nn.Module):
    """(17) per dimension, summed: nats an entry, [n], from [n, samples, d]."""

    def forward(self, mu: Tensor, std: Tensor, z: Tensor, noise: Tensor) -> Tensor:
        log_std = std.log()
        deviations = (z.unsqueeze(2) - mu.unsqueeze(1)) * (math.sqrt(0.5) / std).unsqueeze(1)
        components = torch.addcmul(-log_std.unsqueeze(1), deviations, deviations, value=-1)
        own = -0.5 * noise.square() - log_std
        return (own - components.logsumexp(2)).sum(-1).mean(-1) + FEATURE_DIM * math.log(SAMPLES)


def encode(networks: Networks, batch: Batch, grants: Grants, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Features [n, samples, d] and rates [n] of all granted entries: one pass an encoder."""
    sizes, outputs = grants.of_encoder, []
    parts = zip(ENTRIES, networks.encoders, grants.tick.split(sizes), grants.receiver.split(sizes))
    for (k, m), encoder, tick, receiver in parts:
        if len(tick) > 0:
            x = encoder.see(batch.modalities[TRANSMITTERS[k][m]], tick)
            embedding = networks.of_receiver[receiver].unsqueeze(1).expand(-1, SAMPLES, -1)
            outputs.append(encoder.head(torch.cat((x, embedding), -1).flatten(0, 1)))
    mu, raw = torch.cat(outputs).view(-1, SAMPLES, 2 * FEATURE_DIM).chunk(2, -1)
    std = F.softplus(raw - 5)
    z = mu + std * noise
    return z, networks.rate(mu, std, z, noise)


def objective(networks: Networks, t: int, labels: Tensor, grants: Grants, z: Tensor, rate: Tensor) -> Tensor:
    """Cross entropy of the joint decoder, plus beta times local cross entropies and rates: nats, [ticks]."""
    own = grants.of_receiver[t]
    tick, entry, z = grants.tick[own], grants.entry[own], z[own]
    slots = z.new_zeros(TICKS * len(ENTRIES), SAMPLES, FEATURE_DIM).index_copy(0, tick * len(ENTRIES) + entry, z)
    features = slots.view(TICKS, len(ENTRIES), SAMPLES, FEATURE_DIM).transpose(1, 2)
    total = cross_entropy(networks.joint[t](features.reshape(TICKS * SAMPLES, -1)), labels)
    if len(own) == 0:
        return total
    embedding = networks.of_entry[entry].unsqueeze(1).expand(-1, SAMPLES, -1)
    local = cross_entropy(networks.local[t](torch.cat((z, embedding), -1).flatten(0, 1)), labels[tick])
    return total.index_add(0, tick, BETA * (local + rate[own]))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over samples, [groups], from labels [groups, samples]."""
    return F.cross_entropy(logits, labels.flatten(), reduction="none").view_as(labels).mean(1)


def loss(networks: Networks, batch: Batch, choice: Choice, grants: Grants, noise: Tensor, entropies: Tensor) -> Tensor:
    """Objectives summed over ticks and receivers, and the score function (21)."""
    z, rate = encode(networks, batch, grants, noise)
    objectives = [objective(networks, t, batch.labels[t], grants, z, rate) for t in range(T)]
    objectives = torch.stack(objectives, 1)
    advantages = objectives.detach() + grants.empty - entropies
    return objectives.sum() + (advantages * choice.log_probabilities).sum()


# -------------------------------------------------------------------------------------------------------------- rounds


class Data:
    """Samples in memory, given or invented: how they come there is no part of the peer."""

    def __init__(self, arrays: str | None, rows: int, device: torch.device):
        if arrays:
            import numpy

            with numpy.load(arrays) as given:
                self.modalities = {name: torch.from_numpy(given[name]).float() for name in WIDTHS}
                digits = torch.from_numpy(given["digit"]).long()
        else:
            digits = torch.randint(10, (rows,))
            self.modalities = {name: torch.randn(rows, width) for name, width in WIDTHS.items()}
        self.modalities = {name: values.to(device) for name, values in self.modalities.items()}
        self.labels = [labels.to(device) for labels in (digits % 2, torch.tensor(RINGS)[digits], digits)]
        self.order = torch.empty(0, dtype=torch.long)
        self.device = device

    def entropies(self) -> Tensor:
        """The entropy of every task's labels in nats, [T]."""
        shares = [labels.bincount() / len(labels) for labels in self.labels]
        return torch.stack([torch.special.entr(share).sum() for share in shares])

    def batch(self) -> Batch:
        """The next samples of a random order of all."""
        if len(self.order) < TICKS * SAMPLES:
            self.order = torch.randperm(len(self.labels[0]))
        rows, self.order = self.order[: TICKS * SAMPLES], self.order[TICKS * SAMPLES :]
        rows = rows.view(TICKS, SAMPLES).to(self.device)
        modalities = {name: values[rows] for name, values in self.modalities.items()}
        return Batch(modalities, [labels[rows] for labels in self.labels])


class Trainer:
    """Networks, optimizer and samples."""

    def __init__(self, data: Data, device: torch.device):
        self.data, self.device = data, device
        self.networks = Networks().to(device)
        coders = [parameter for network in self.networks.coders() for parameter in network.parameters()]
        selectors = [parameter for network in self.networks.selectors() for parameter in network.parameters()]
        groups = [{"params": coders, "lr": CODING_RATE}, {"params": selectors, "lr": SELECTION_RATE}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)
        self.entropies = data.entropies()

    def round(self, replayed: Tensor | None) -> int:
        """One round; entries [entries, ticks, T] may be given in the place of those drawn. How many there were."""
        batch = self.data.batch()
        choice = choose(self.networks, torch.randn(TICKS, FEATURE_DIM, device=self.device))
        grants = Grants.from_mask(choice.granted if replayed is None else replayed, self.device)
        noise = torch.randn(len(grants), SAMPLES, FEATURE_DIM, device=self.device)
        loss(self.networks, batch, choice, grants, noise, self.entropies).backward()
        for selector in self.networks.selectors():
            nn.utils.clip_grad_norm_(selector.parameters(), SELECTION_CLIP)
        # Networks that took no part have no gradients: the optimizer leaves them alone.
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return len(grants)


def replay(path: str) -> list[Tensor]:
    """The grants of a run's selection.jsonl, round by round: each entry's share of ticks, laid on random ticks."""
    with open(path) as lines:
        shares = [torch.tensor(json.loads(line)["granted"]) for line in lines]
    if not shares or shares[0].shape != (T, len(ENTRIES)):
        raise SystemExit(f"error: {path} holds no selection of {T} receivers and {len(ENTRIES)} entries")
    counts = [(share.T * TICKS).round().unsqueeze(1) for share in shares]
    return [torch.rand(len(ENTRIES), TICKS, T).argsort(1).argsort(1) < count for count in counts]


def pin(entries: int) -> list[Tensor]:
    """So many entries at every tick, anew for each of 64 rounds."""
    ranks = torch.rand(64, TICKS, len(ENTRIES) * T).argsort(2).argsort(2)
    return list((ranks < entries).view(64, TICKS, len(ENTRIES), T).transpose(1, 2))


def measure(trainer: Trainer, rounds: int, replayed: list[Tensor]) -> dict:
    """Seconds and entries a tick of every round but the first few."""
    timed = []
    for number in range(rounds):
        start = time.perf_counter()
        entries = trainer.round(replayed[number % len(replayed)] if replayed else None)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        timed.append({"seconds": time.perf_counter() - start, "entries_per_tick": entries / TICKS})
    timed = timed[min(WARM_UP, rounds - 1) :]
    seconds = sorted(line["seconds"] for line in timed)
    decile = round(0.1 * (len(seconds) - 1))
    return {
        "torch": torch.__version__,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "median_seconds": statistics.median(seconds),
        "spread": [seconds[decile], seconds[-1 - decile]],
        "entries_per_tick": statistics.mean(line["entries_per_tick"] for line in timed),
        "rounds": timed,
    }


# --------------------------------------------------------------------------------------------------------------- check


def plain_loss(networks: Networks, batch: Batch, u: Tensor, choice: Choice, noise: Tensor, entropies: Tensor) -> Tensor:
    """What `loss` computes, from the same draws, tick by tick, receiver by receiver, entry by entry."""
    positions = {tuple(index): row for row, index in enumerate(choice.granted.nonzero().tolist())}
    total = torch.zeros(())
    for tick in range(TICKS):
        for t in range(T):
            labels, to_all = batch.labels[t][tick], networks.of_receiver[t]
            features, value = [torch.zeros(SAMPLES, FEATURE_DIM) for _ in ENTRIES], torch.zeros(())
            for e, (k, m) in enumerate(ENTRIES):
                if (e, tick, t) in positions:
                    x = batch.modalities[TRANSMITTERS[k][m]][tick]
                    mu, raw = networks.encoders[e](beside(x, to_all)).chunk(2, -1)
                    posterior = torch.distributions.Normal(mu, F.softplus(raw - 5))
                    z = features[e] = mu + posterior.stddev * noise[positions[e, tick, t]]
                    local = F.cross_entropy(networks.local[t](beside(z, networks.of_entry[e])), labels)
                    value = value + BETA * (local + plain_rate(posterior, z))
            value = value + F.cross_entropy(networks.joint[t](torch.cat(features, -1)), labels)
            penalty = 0.0 if any((e, tick, t) in positions for e in range(len(ENTRIES))) else 1.0
            mass = plain_log_probability(networks.requesting[t](u[tick]), RECEIVER_LIMIT, choice.requests[t], tick)
            for k in range(K):
                if choice.requested[tick, t, k]:
                    logits = networks.choosing[k](torch.cat((u[tick], to_all)))
                    mass = mass + plain_log_probability(logits, most_choices(k), choice.choices[k], (tick, t))
            total = total + value + (value.detach() + penalty - entropies[t]) * mass
    return total


def beside(rows: Tensor, embedding: Tensor) -> Tensor:
    return torch.cat((rows, embedding.expand(len(rows), -1)), -1)


def plain_rate(posterior: torch.distributions.Normal, z: Tensor) -> Tensor:
    own = posterior.log_prob(z)
    mixture = torch.stack([posterior.log_prob(row).logsumexp(0) for row in z])
    return (own - mixture + math.log(SAMPLES)).sum(1).mean()


def plain_log_probability(logits: Tensor, counts: int, drawn: Draw, row) -> Tensor:
    count, order = int(drawn.count[row]), drawn.order[row].tolist()
    mass = logits[:counts].log_softmax(0)[count - 1]
    for step in range(count):
        mass = mass + logits[counts:][order[step:]].log_softmax(0)[0]
    return mass


def check(trainer: Trainer) -> bool:
    """Whether loss and gradients of a round are those of the plain loop to 1e-5, and its selection keeps the limits."""
    networks, batch = trainer.networks, trainer.data.batch()
    u = torch.randn(TICKS, FEATURE_DIM)
    choice = choose(networks, u)
    kept = keeps_limits(choice)
    # It is rare that the cap leaves a receiver with nothing: this makes sure that one pays for it.
    choice.granted[:, 0, 0] = False
    grants = Grants.from_mask(choice.granted, trainer.device)
    noise = torch.randn(len(grants), SAMPLES, FEATURE_DIM)
    batched = loss(networks, batch, choice, grants, noise, trainer.entropies)
    plain = plain_loss(networks, batch, u, choice, noise, trainer.entropies)
    differences = {"loss": (batched - plain).abs() / plain.abs()}
    gradients = torch.autograd.grad(batched, list(networks.parameters()))
    expected = torch.autograd.grad(plain, list(networks.parameters()))
    for (name, _), gradient, other in zip(networks.named_parameters(), gradients, expected):
        differences[name] = (gradient - other).norm() / other.norm()
    worst = max(differences, key=lambda name: differences[name])
    print(f"loss {batched:.6f}, plain loop {plain:.6f}: {differences['loss']:.1e} relative")
    print(f"gradients of {len(expected)} parameters: at most {differences[worst]:.1e} relative ({worst})")
    print("limits kept" if kept else "limits broken")
    return kept and all(difference < 1e-5 for difference in differences.values())


def keeps_limits(choice: Choice) -> bool:
    """Who was requested chooses something; a transmitter grants its choices, or as many of them as its limit."""
    kept = bool((choice.requested.sum(2) <= RECEIVER_LIMIT).all() and (choice.requested.sum(2) >= 1).all())
    grants = choice.granted.split([len(modalities) for modalities in TRANSMITTERS])
    for k, drawn in enumerate(choice.choices):
        chosen = (drawn.chosen() & choice.requested[:, :, k, None]).permute(2, 0, 1)
        most = chosen.sum((0, 2)).clamp(max=TRANSMITTER_LIMIT)
        kept &= bool((grants[k] <= chosen).all() and (grants[k].sum((0, 2)) == most).all())
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help=f"the first {WARM_UP} are not counted (default 60)")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: its own choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--cnn", action="store_true", help="the networks of scenarios/handwritten-cnn.toml")
    parser.add_argument("--compile", action="store_true", help="let torch.compile fuse the rate's elementwise work")
    parser.add_argument("--arrays", metavar="NPZ", help=f"arrays {', '.join(WIDTHS)} and digit; default: invented")
    parser.add_argument("--rows", type=int, default=10_000, help="how many samples to invent (default 10000)")
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--selection", metavar="FILE", help="process the grants of a run's selection.jsonl")
    selection.add_argument("--entries", type=int, metavar="E", help="process E entries at every tick")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="compare one round with a plain loop instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    if arguments.cnn:
        use_convolutions()
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device("cpu" if arguments.check else arguments.device)
    trainer = Trainer(Data(arguments.arrays, arguments.rows, device), device)
    if arguments.compile:
        # The networks are matrix products: compiled, they were no faster.
        trainer.networks.rate.compile(dynamic=True)
    if arguments.check:
        return 0 if check(trainer) else 1
    replayed = replay(arguments.selection) if arguments.selection else []
    if arguments.entries:
        replayed = pin(arguments.entries)
    report = measure(trainer, arguments.rounds, replayed)
    if arguments.json:
        print(json.dumps(report))
        return 0
    low, high = report["spread"]
    print(
        f"{report['median_seconds']:.3f} s a round (median of {len(report['rounds'])}; 10 % to 90 %: {low:.3f} to "
        f"{high:.3f}), {report['entries_per_tick']:.2f} entries a tick, {report['threads']} threads, {device}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
