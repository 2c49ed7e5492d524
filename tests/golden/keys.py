"""The keys of keys.toml, from the specification in cache/README.md alone: nothing of Assay runs here.

    pip install blake3 && python tests/golden/keys.py

prints what tests/assay/golden.rs pins. Nothing needs a general writer of canonical JSON: each preimage is short enough to
be written out, keys sorted by hand.
"""

from pathlib import Path

from blake3 import blake3

NORMS = Path(__file__).parents[2] / "stages/fixtures/phiid/job_activations.npy"


def key(preimage: str) -> str:
    return blake3(b"assay recipe\0" + preimage.encode()).hexdigest()


def show(cell: str, name: str) -> str:
    print(f"{cell:<16} {name}")
    return name


digest = blake3(NORMS.read_bytes()).hexdigest()

norms = show("norms", key(
    '{"files":{"file":"' + digest + '"},"format":1,"kind":"load-tensor",'
    '"params":{"axes":["prompt","node","step"]},"version":"load-tensor=1"}'
))

rankings = []
for tau in (1, 2):
    # tau = 1 is the default, and so is redundancy = "mmi": they are left out.
    params = "{}" if tau == 1 else '{"tau":' + str(tau) + "}"
    pairs = show(f"pairs[tau={tau}]", key(
        '{"format":1,"inputs":{"activations":{"one":{"key":"' + norms + '","port":"tensor"}}},"kind":"phiid",'
        '"params":' + params + ',"version":"phiid=1"}'
    ))
    port = lambda name: '"' + name + '":{"one":{"key":"' + pairs + '","port":"' + name + '"}}'
    rankings.append(show(f"ranking[tau={tau}]", key(
        '{"format":1,"inputs":{' + ",".join(map(port, ("count", "rtr", "sts"))) + '},"kind":"rank",'
        '"params":{"ties":"difference"},"version":"rank=1"}'
    )))

# Gathered over tau, in the order of the axis; a float keeps its point, an integer has none.
gathered = ",".join(
    '[[["tau","' + str(tau) + '"]],{"key":"' + ranking + '","port":"ranking"}]'
    for tau, ranking in zip((1, 2), rankings)
)
show("summary", key(
    '{"format":1,"inputs":{"table":{"many":[' + gathered + ']}},"kind":"summarize",'
    '"params":{"by":["tau"],"of":["avg_synergy"],"where":{"layer":-1,"score":0.5}},"version":"summarize=1"}'
))
