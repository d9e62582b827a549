rule fetch:
    """Download a pretrained model at its pinned revision; the only rule with a network."""
    output:
        "results/checkpoints/{node}/manifest.json",
    log:
        f"{LOGS}/fetch/{{node}}.log",
    benchmark:
        f"{BENCHMARKS}/fetch/{{node}}.tsv"
    wildcard_constraints:
        node=r"[^/]+\.hub\.[0-9a-f]{12}",
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    resources:
        mem_mb=needs("fetch", "mem_mb"),
        runtime=needs("fetch", "runtime"),
    message:
        "fetch {wildcards.node}"
    shell:
        command("fetch") + "{wildcards.node:q}"


rule initialise:
    """Make a model with random weights, and train its tokenizer."""
    input:
        lambda wildcards: manifests(ARTEFACTS.checkpoints[wildcards.node].texts),
    output:
        "results/checkpoints/{node}/manifest.json",
    log:
        f"{LOGS}/initialise/{{node}}.log",
    benchmark:
        f"{BENCHMARKS}/initialise/{{node}}.tsv"
    wildcard_constraints:
        node=r"[^/]+\.init\.[0-9a-f]{12}",
    conda:
        "../../envs/xstilts.yaml"
    resources:
        mem_mb=needs("initialise", "mem_mb"),
        runtime=needs("initialise", "runtime"),
    message:
        "initialise {wildcards.node}"
    shell:
        command("initialise") + "{wildcards.node:q}"
