#!/usr/bin/env python3
"""An independent PyTorch run of the task-relative study on SmolLM2: where the numbers of its [[expect]] blocks come from.

    pip install torch transformers accelerate gguf
    smollm2_task_relative.py SmolLM2-135M-Instruct.Q4_1.gguf ../prompts

Prints for each layer and alignment the mean cosine over pairs of tasks, the same of paraphrases (last layer), the five
most attended positions of the last query in the last layer with Jaccard's index, and the most likely next tokens.
"""
import itertools
import os
import sys
import tomllib

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LAYERS = [0, 5, 11, 16, 21, 26, 29]
ALIGNMENTS = {
    "flatten-trunc": lambda x, y, n: (x[:n], y[:n]),
    "suffix-aligned": lambda x, y, n: (x[-n:], y[-n:]),
    "last-token": lambda x, y, n: (x[-1:], y[-1:]),
    "excl-first": lambda x, y, n: (x[1:n], y[1:n]),
}


def read(model, tokenizer, file):
    """For each text of a prompt file: block outputs by layer, mean attention of the last query, next-token probabilities."""
    found = {}
    for prompt in tomllib.load(open(file, "rb"))["prompts"]:
        ids = tokenizer(prompt["text"], add_special_tokens=False, return_tensors="pt").input_ids
        blocks = []
        handles = [block.register_forward_hook(lambda _, __, out: blocks.append(out[0] if isinstance(out, tuple) else out))
                   for block in model.model.layers]
        with torch.no_grad():
            out = model(ids, output_attentions=True, use_cache=False)
        for handle in handles:
            handle.remove()
        resid = {layer: blocks[layer].reshape(ids.shape[1], -1).double() for layer in LAYERS}
        found[prompt["id"]] = resid, out.attentions[-1][0].mean(0)[-1], out.logits[0, -1].double().softmax(-1)
    return found


def cosines(texts, layer, lay):
    both = lambda a, b: lay(a, b, min(len(a), len(b)))
    pair = lambda x, y: torch.nn.functional.cosine_similarity(x.flatten(), y.flatten(), dim=0).item()
    return [pair(*both(texts[a][0][layer], texts[b][0][layer])) for a, b in itertools.combinations(texts, 2)]


def main(weights, prompts):
    folder, name = os.path.split(os.path.abspath(weights))
    load = dict(gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **load).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, **load)
    tasks = read(model, tokenizer, f"{prompts}/task-framings.toml")
    print("tokens:", {name: len(text[1]) for name, text in tasks.items()})
    for name, lay in ALIGNMENTS.items():
        print(name, "by layer:", [round(float(np.mean(cosines(tasks, layer, lay))), 7) for layer in LAYERS])
    for pair, each in zip(itertools.combinations(tasks, 2), cosines(tasks, LAYERS[-1], ALIGNMENTS["flatten-trunc"])):
        print("  flatten-trunc, last layer:", *pair, round(each, 7))
    for task in tasks:
        texts = read(model, tokenizer, f"{prompts}/task-paraphrases-{task}.toml")
        means = {name: round(float(np.mean(cosines(texts, LAYERS[-1], lay))), 7) for name, lay in ALIGNMENTS.items()}
        print("paraphrases of", task, means)
    top = {name: text[1].topk(5).indices.tolist() for name, text in tasks.items()}
    end = {name: [p - len(tasks[name][1]) for p in top[name]] for name in tasks}
    share = lambda sets, a, b: len(set(sets[a]) & set(sets[b])) / len(set(sets[a]) | set(sets[b]))
    print("top positions:", top)
    for a, b in itertools.combinations(tasks, 2):
        print("  Jaccard:", a, b, "start", share(top, a, b), "end", share(end, a, b))
    fire = read(model, tokenizer, f"{prompts}/fire-contexts.toml")
    for group in tasks, fire:
        for name, (_, _, p) in group.items():
            best = p.topk(5 if group is tasks else 1)
            print(name, [(tokenizer.decode([i]), i, round(v, 7)) for i, v in zip(best.indices.tolist(), best.values.tolist())])
    for pair, each in zip(itertools.combinations(fire, 2), cosines(fire, 11, ALIGNMENTS["flatten-trunc"])):
        print("  Fire!, layer 11:", *pair, round(each, 7))


main(*sys.argv[1:])
