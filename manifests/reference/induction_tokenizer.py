#!/usr/bin/env python3
"""The tokenizer of the shipped induction model: 64 made-up words, so that the texts of its task can be read.

    induction_tokenizer.py > manifests/models/induction/tokenizer.json
"""
import json
import random

VOCABULARY = 64  # of induction-model.toml

syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
draw = random.Random(11)
words = set()
while len(words) < VOCABULARY:
    first, second = draw.choice(syllables), draw.choice(syllables)
    if first != second:
        words.add(first + second)
tokenizer = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(sorted(words))}, "unk_token": "<unk>"},
}
print(json.dumps(tokenizer, indent=1))
