#!/usr/bin/env python3
"""An independent PyTorch run beside separability-b-smollm2: where the numbers of its [[expect]] blocks come from.

    pip install torch transformers accelerate gguf
    smollm2_ioi.py SmolLM2-135M-Instruct.Q4_1.gguf prompts/ioi-8.toml

On the eight prompts, without a token before them: cross-entropy, logit differences, what the final norm divides by, the
heads with the largest direct attribution, and the same with those three set to zero at the last position.
"""
import os
import sys
import tomllib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(weights, prompts):
    folder, name = os.path.split(os.path.abspath(weights))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).double().eval()
    heads, layers = model.config.num_attention_heads, model.model.layers
    seen = {}

    def forward(ids, zeroed=()):
        handles = []
        for layer, block in enumerate(layers):
            def hook(_, inputs, layer=layer):
                z = inputs[0].unflatten(-1, (heads, -1)).clone()  # [1, pos, head, d_head]
                for _, head in filter(lambda zero: zero[0] == layer, zeroed):
                    z[:, -1, head] = 0
                seen[layer] = z[0, -1]
                return (z.flatten(-2),)
            handles.append(block.self_attn.o_proj.register_forward_pre_hook(hook))
        handles.append(model.model.norm.register_forward_pre_hook(lambda _, inputs: seen.update(last=inputs[0][0, -1])))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        for handle in handles:
            handle.remove()
        return logits, (seen["last"].pow(2).mean() + model.config.rms_norm_eps).sqrt()

    asked = []
    for prompt in tomllib.load(open(prompts, "rb"))["prompts"]:
        token = lambda text: tokenizer(text, add_special_tokens=False).input_ids
        (right,), (wrong,) = token(prompt["correct"]), token(prompt["incorrect"])
        asked.append((token(prompt["text"]), right, wrong))
    differences, divisors, entropies, attributions = [], [], [], []
    for ids, right, wrong in asked:
        logits, divisor = forward(ids)
        differences.append((logits[-1, right] - logits[-1, wrong]).item())
        divisors.append(divisor.item())
        entropies.append(torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:])).item())
        direction = (model.lm_head.weight[right] - model.lm_head.weight[wrong]) * model.model.norm.weight / divisor
        own = []
        for layer, block in enumerate(layers):
            out = block.self_attn.o_proj.weight.unflatten(1, (heads, -1))  # [d, head, d_head]
            own.append(torch.einsum("he,dhe,d->h", seen[layer], out, direction))
        attributions.append(torch.stack(own).detach())  # [layer, head]
    mean = torch.stack(attributions).mean(0)
    best = [divmod(int(i), heads) for i in mean.flatten().argsort(descending=True)]
    print("tokens", asked[0][0])
    print("cross-entropy", entropies)
    print("logit difference", differences, "mean", sum(differences) / len(differences))
    print("divisor", divisors)
    for layer, head in best[:5] + best[-3:]:
        print(f"attribution of {layer}.{head}: {mean[layer, head]:.6f}")
    without = [forward(ids, best[:3]) for ids, _, _ in asked]
    ablated = [(logits[-1, right] - logits[-1, wrong]).item() for (logits, _), (_, right, wrong) in zip(without, asked)]
    print("without the first three at the last position", ablated, "mean", sum(ablated) / len(ablated))
    print("divisor", [divisor.item() for _, divisor in without])


main(*sys.argv[1:])
