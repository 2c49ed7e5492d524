#!/usr/bin/env python3
"""An independent PyTorch run beside the homeostasis study on SmolLM2: where the numbers of its [[expect]] blocks come from.

    pip install torch transformers accelerate gguf
    smollm2_homeostasis.py SmolLM2-135M-Instruct.Q4_1.gguf [PAIRS]

Reads the study's own bank and pairs. Prints, for each of the first PAIRS pairs (3), R_V of the base, the recursive and the
patched run at the layers measured, with the value projections of the last 16 tokens patched at PATCH; and for the first
pair what else the study measures in the patched run.
"""
import csv
import math
import os
import sys
import tomllib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

EARLY, PATCH, LAYERS, WINDOW = 4, 25, range(25, 30), 16
PROMPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "prompts")


def participation(x):
    gram = x.double() @ x.double().T
    return (gram.trace() ** 2 / (gram**2).sum()).item()


class Run:
    """One pass over a text, in which the values of the last tokens at PATCH may be those of another run."""

    def __init__(self, model, ids, source=None):
        self.seen, handles = {}, []

        def values(layer):
            def hook(_, __, out):
                if layer == PATCH and source is not None:
                    width = min(WINDOW, out.shape[1], source.shape[0])
                    out = out.clone()
                    out[0, -width:] = source[-width:]
                self.seen["v", layer] = out[0]
                return out

            return hook

        def keep(name, layer, of_input=False):
            def hook(_, inputs, out):
                out = out[0] if isinstance(out, tuple) else out
                self.seen[name, layer] = (inputs[0] if of_input else out)[0]

            return hook

        for layer, block in enumerate(model.model.layers):
            handles += [
                block.self_attn.v_proj.register_forward_hook(values(layer)),
                block.mlp.register_forward_hook(keep("mlp_in", layer, of_input=True)),
                block.mlp.register_forward_hook(keep("mlp_out", layer)),
                block.input_layernorm.register_forward_hook(keep("before", layer, of_input=True)),
                block.register_forward_hook(keep("after", layer)),
            ]
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids]), use_cache=False, output_attentions=True)
        self.patterns, self.epsilon = out.attentions, model.config.rms_norm_eps
        for handle in handles:
            handle.remove()

    def ratio(self, layer):
        return participation(self.seen["v", layer][-WINDOW:]) / participation(self.seen["v", EARLY][-WINDOW:])

    def others(self, layer):
        pattern = self.patterns[layer][0, :, -WINDOW:].double()  # [head, query, key]
        entropy = -(pattern * pattern.clamp_min(1e-300).log()).sum(-1)
        queries = torch.arange(pattern.shape[-1])[-WINDOW:]
        bound = torch.tensor([math.log(q + 1) if q else math.inf for q in queries.tolist()])
        before = self.seen["before", layer][-WINDOW:].double()
        return {
            "MLP expansion": participation(self.seen["mlp_out", layer][-WINDOW:])
            / participation(self.seen["mlp_in", layer][-WINDOW:]),
            "entropy": entropy.mean().item(),
            "share of the largest": (entropy / bound).mean().item(),
            "residual norm": self.seen["after", layer][-WINDOW:].double().norm(dim=-1).mean().item(),
            "factor of the first norm": (before.square().mean(-1) + self.epsilon).rsqrt().mean().item(),
        }


def main(weights, count=3):
    folder, name = os.path.split(os.path.abspath(weights))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    options = {"gguf_file": name, "dtype": torch.float32, "attn_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    bank = tomllib.load(open(os.path.join(PROMPTS, "homeostasis-bank.toml"), "rb"))
    pairs = list(csv.DictReader(open(os.path.join(PROMPTS, "homeostasis-pairs.csv"))))[: int(count)]

    def ids(text):
        return [tokenizer.bos_token_id] + tokenizer(text, add_special_tokens=False).input_ids

    for i, pair in enumerate(pairs):
        base, recursive = (ids(bank[pair[side]]) for side in ("base_id", "rec_id"))
        runs = {"base": Run(model, base), "recursive": Run(model, recursive)}
        runs["patched"] = Run(model, base, runs["recursive"].seen["v", PATCH])
        print(f"pair {i}: {len(base)} and {len(recursive)} tokens")
        for label, run in runs.items():
            print(f"  R_V {label}: " + " ".join(f"{run.ratio(layer):.6f}" for layer in LAYERS))
        if i == 0:
            for layer in (PATCH, LAYERS[-1]):
                found = runs["patched"].others(layer)
                moved = (runs["patched"].seen["after", layer] - runs["base"].seen["after", layer])[-WINDOW:]
                found["how far the residual moved"] = moved.norm(dim=-1).mean().item()
                for what, value in found.items():
                    print(f"  patched, layer {layer}, {what}: {value:.6f}")


main(*sys.argv[1:])
