rule train:
    """One step of a tree: pretraining, an intermediate step, or the target task."""
    input:
        inputs("checkpoints"),
    output:
        update("results/checkpoints/{node}/manifest.json"),
    log:
        f"{LOGS}/train/{{node}}.log",
    benchmark:
        f"{BENCHMARKS}/train/{{node}}.tsv"
    wildcard_constraints:
        node=r"[^/]+\.s[0-9]+\.[0-9a-f]{12}",
    conda:
        "../../envs/xstilts.yaml"
    threads: processors("train")
    resources:
        **needs("train"),
    params:
        options=train_options,
    message:
        "train {wildcards.node}"
    shell:
        command("train") + "{wildcards.node:q} --threads {threads} {params.options}"
