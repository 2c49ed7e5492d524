#!/usr/bin/env python3
"""An independent PyTorch run of the shipped induction model: where the numbers of quickstart.toml's [[expect]] blocks
come from.

    assay run manifests/quickstart.toml
    assay export manifests/quickstart.toml out
    pip install torch safetensors
    induction.py manifests/models/induction out

Reads from the export which texts were read, and the order of heads by their induction score. Everything else is computed
here, from the weights: the scores of every head (and as TransformerLens's head detector with error_measure "mul" has
them), the copying with and without heads, and the divergence.
"""
import csv
import json
import sys

import torch
from safetensors.torch import load_file


class Model:
    """Attention alone: RMS norms, rotary positions, an unembedding of its own."""

    def __init__(self, folder):
        self.config = json.load(open(f"{folder}/config.json"))
        self.weights = {name: w.double() for name, w in load_file(f"{folder}/model.safetensors").items()}
        self.heads = self.config["num-attention-heads"]
        self.layers = self.config["num-hidden-layers"]
        assert (self.config["norm"], self.config["positions"], self.config["intermediate-size"]) == ("rms", "rotary", 0)

    def norm(self, x, name):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * self.weights[f"{name}.weight"]

    def rotated(self, x):  # [head, pos, d_head]
        half = x.shape[-1] // 2
        angles = torch.arange(x.shape[-2])[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)

    def __call__(self, ids, zeroed=()):
        """Logits [pos, vocab] and patterns [layer, head, query, key] of one text, with some heads' outputs at zero."""
        x = self.weights["model.embed_tokens.weight"][ids]  # [pos, d]
        mask = torch.ones(len(ids), len(ids)).tril().bool()
        patterns = []
        for layer in range(self.layers):
            path = f"model.layers.{layer}"
            normed = self.norm(x, f"{path}.input_layernorm")
            q, k, v = (
                (normed @ self.weights[f"{path}.self_attn.{name}.weight"].T).unflatten(-1, (self.heads, -1)).transpose(0, 1)
                for name in ("q_proj", "k_proj", "v_proj")
            )
            q, k = self.rotated(q), self.rotated(k)
            scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            pattern = scores.masked_fill(~mask, -torch.inf).softmax(-1)
            patterns.append(pattern)
            z = pattern @ v
            for _, head in filter(lambda zero: zero[0] == layer, zeroed):
                z[head] = 0
            x = x + z.transpose(0, 1).flatten(-2) @ self.weights[f"{path}.self_attn.o_proj.weight"].T
        return self.norm(x, "model.norm") @ self.weights["lm_head.weight"].T, torch.stack(patterns)


def masks(ids):
    """Where a head of each kind looks, [query, key], and which queries have such a place."""
    ids = torch.tensor(ids)
    n = len(ids)
    previous = torch.diag(torch.ones(n - 1), -1)
    duplicate = (ids[:, None] == ids[None]).double().tril(-1)
    induction = torch.zeros(n, n)
    induction[:, 1:] = duplicate[:, :-1]
    seen = duplicate.any(1)
    return {"previous_token": (previous, torch.arange(n) > 0), "duplicate_token": (duplicate, seen), "induction": (induction, seen)}


def main(folder, export):
    model = Model(folder)
    texts = json.load(open(f"{export}/texts/test.json"))["sequences"]
    rows = list(csv.DictReader(open(f"{export}/heads/heads.csv")))
    order = [(int(r["layer"]), int(r["head_in_layer"])) for r in sorted(rows, key=lambda r: -float(r["induction"]))]

    ours, lens, queries = {}, {}, {}
    for text in texts:
        ids = text["prompt"] + text["new"]
        _, patterns = model(ids)
        for name, (mask, eligible) in masks(ids).items():
            ours[name] = ours.get(name, 0) + (patterns * mask).sum((-1, -2))
            lens[name] = lens.get(name, 0) + (patterns * mask).sum((-1, -2)) / patterns.sum((-1, -2)) / len(texts)
            queries[name] = queries.get(name, 0) + int(eligible.sum())
    for name in ours:
        print(name, [[round(x, 6) for x in row] for row in (ours[name] / queries[name]).tolist()])
        print("  as TransformerLens:", [[round(x, 6) for x in row] for row in lens[name].tolist()])

    for removed in (0, 1, 2, 3, len(order)):
        zeroed = order[:removed]
        found = {"cross-entropy": [], "accuracy": [], "kl": []}
        for text in texts:
            ids, first = text["prompt"] + text["new"], len(text["prompt"])
            p = model(ids)[0][first - 1 : -1].log_softmax(-1)
            q = model(ids, zeroed)[0][first - 1 : -1].log_softmax(-1)
            new = torch.tensor(text["new"])
            found["cross-entropy"].append(-q.gather(1, new[:, None]).mean())
            found["accuracy"].append((q.argmax(-1) == new).double().mean())
            found["kl"].append((p.exp() * (p - q)).sum(-1).mean())
        means = {name: round(torch.stack(values).mean().item(), 7) for name, values in found.items()}
        print(f"{removed} heads off {zeroed if removed < len(order) else ''}: {means}")


main(*sys.argv[1:])
