"""Experiment A of separability-a.toml in PyTorch, over several seeds: how much does its accuracy depend on the seed?

The control and the constraint (the query, key, value and output slices of three of four heads get no gradient) of a causal
pre-norm transformer of one layer, as the manifest describes it, with weights and texts drawn by PyTorch. The spread over
seeds is what the tolerance of the manifest's expectations stands on.

    python separability_a.py [SEEDS]
"""

import math
import statistics
import sys

import torch

VOCAB, LENGTH, D, D_FF, HEADS = 64, 32, 64, 64, 4
TRAIN, TEST, BATCH, STEPS = 10_000, 512, 64, 600
FROZEN = 3 * D // HEADS


def texts(count, generator):
    """Random patterns of two to seven tokens, each tiled until its text is full."""
    out = torch.zeros(count, LENGTH, dtype=torch.long)
    for i in range(count):
        length = int(torch.randint(2, 8, (1,), generator=generator))
        pattern = torch.randint(0, VOCAB, (length,), generator=generator)
        out[i] = pattern.repeat(LENGTH // length + 1)[:LENGTH]
    return out


class Model:
    def __init__(self, generator):
        def normal(*shape, fan_in=None):
            values = torch.randn(*shape, generator=generator) / math.sqrt(fan_in or shape[0])
            return values.requires_grad_()

        def constant(value, size):
            return torch.full((size,), value, requires_grad=True)

        self.embed, self.positions = normal(VOCAB, D, fan_in=D), normal(LENGTH, D, fan_in=D)
        self.q, self.k, self.v, self.o = (normal(D, D) for _ in range(4))
        self.up, self.down, self.unembed = normal(D, D_FF), normal(D_FF, D), normal(D, VOCAB)
        self.up_bias, self.down_bias = constant(0.0, D_FF), constant(0.0, D)
        self.norms = [(constant(1.0, D), constant(0.0, D)) for _ in range(3)]

    def parameters(self):
        plain = [value for value in vars(self).values() if torch.is_tensor(value)]
        return plain + [part for norm in self.norms for part in norm]

    def forward(self, ids):
        """The logits, and the residual stream before the final norm."""
        rows, length = ids.shape

        def norm(x, which):
            return torch.nn.functional.layer_norm(x, (D,), *self.norms[which], 1e-5)

        def heads(x):
            return x.view(rows, length, HEADS, D // HEADS).transpose(1, 2)

        x = self.embed[ids] + self.positions[:length]
        y = norm(x, 0)
        q, k, v = (heads(y @ weight) for weight in (self.q, self.k, self.v))
        mask = torch.full((length, length), float("-inf")).triu(1)
        pattern = (q @ k.transpose(-1, -2) / math.sqrt(D // HEADS) + mask).softmax(-1)
        x = x + (pattern @ v).transpose(1, 2).reshape(rows, length, D) @ self.o
        x = x + torch.relu(norm(x, 1) @ self.up + self.up_bias) @ self.down + self.down_bias
        return norm(x, 2) @ self.unembed, x

    def hold_back(self):
        """Takes the gradient from three of four heads."""
        for weight in (self.q, self.k, self.v):
            weight.grad[:, :FROZEN] = 0
        self.o.grad[:FROZEN] = 0


def run(seed, constraint):
    """Accuracy at the last token of held-out texts, and the mean norm of the residual stream."""
    generator = torch.Generator().manual_seed(seed)
    train, test = texts(TRAIN, generator), texts(TEST, generator)
    model = Model(generator)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-8)
    for _ in range(STEPS):
        batch = train[torch.randint(0, TRAIN, (BATCH,), generator=generator)]
        logits, _ = model.forward(batch[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB), batch[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        if constraint:
            model.hold_back()
        optimizer.step()
    with torch.no_grad():
        logits, stream = model.forward(test[:, :-1])
    right = (logits[:, -1].argmax(-1) == test[:, -1]).float().mean().item()
    return right, stream.norm(dim=-1).mean().item()


def main():
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
    for name, constraint in [("control", False), ("constraint", True)]:
        runs = [run(seed, constraint) for seed in seeds]
        for what, values in zip(("accuracy", "amplitude"), zip(*runs)):
            mean, std = statistics.mean(values), statistics.stdev(values)
            listed = " ".join(f"{value:.3f}" for value in values)
            print(f"{name} {what}: mean {mean:.3f}, std {std:.3f} (ddof 1): {listed}", flush=True)


if __name__ == "__main__":
    main()
