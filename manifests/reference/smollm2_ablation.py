#!/usr/bin/env python3
"""An independent PyTorch run beside the study on SmolLM2: where the numbers of its [[expect]] blocks come from.

    assay run manifests/synergistic-core-smollm2.toml
    assay export manifests/synergistic-core-smollm2.toml out --npz
    pip install torch transformers accelerate gguf
    smollm2_ablation.py SmolLM2-135M-Instruct.Q4_1.gguf out

Reads from the export which tokens were written and in which order heads were ranked. Prints whether greedy decoding
agrees, the largest difference of the heads' norms, and the KL divergences with 30 and with all heads set to zero.
"""
import csv
import json
import os
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

PROMPTS = 20  # as many as the study ablates


def forward(model, ids, zeroed=(), norms=None):
    """Logits of one text, with the outputs of some heads set to zero; the norms of all heads, where they are wanted."""
    heads = model.config.num_attention_heads
    handles = []
    for layer, block in enumerate(model.model.layers):
        def hook(_, inputs, layer=layer):
            z = inputs[0].unflatten(-1, (heads, -1)).clone()  # [1, pos, head, d_head]
            if norms is not None:
                norms.append(z[0].norm(dim=-1))
            for _, head in filter(lambda zero: zero[0] == layer, zeroed):
                z[:, :, head] = 0
            return (z.flatten(-2),)
        handles.append(block.self_attn.o_proj.register_forward_pre_hook(hook))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    return logits


def main(weights, export):
    folder, name = os.path.split(os.path.abspath(weights))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    texts = json.load(open(f"{export}/generate/tokens.json"))["sequences"][:PROMPTS]
    ours = np.load(f"{export}/generate/z.npz")["z"]  # [prompt, layer, step, head]
    ranking = sorted(csv.DictReader(open(f"{export}/rank/ranking.csv")), key=lambda row: int(row["order"]))
    order = [(int(row["layer"]), int(row["head_in_layer"])) for row in ranking]
    kl, agree, worst = {30: [], len(order): []}, True, 0.0
    for text, z in zip(texts, ours):
        ids, first, last = text["prompt"] + text["new"], len(text["prompt"]) - 1, -1
        norms = []
        base = forward(model, ids, norms=norms)[first:last]
        agree &= base.argmax(-1).tolist() == text["new"]
        theirs = torch.stack(norms)[:, first:last].numpy()
        worst = max(worst, float(np.abs(theirs - z).max() / np.abs(theirs).max()))
        p = torch.log_softmax(base.double(), -1)
        for removed, found in kl.items():
            q = torch.log_softmax(forward(model, ids, order[:removed])[first:last].double(), -1)
            found.append((p.exp() * (p - q)).sum(-1).mean().item())
    print("greedy tokens agree:", agree)
    print("norms of heads differ by at most", worst, "of the largest")
    for removed, found in kl.items():
        print(f"KL with {removed} heads off: mean {np.mean(found):.7f}, std {np.std(found):.7f}")


main(*sys.argv[1:])
