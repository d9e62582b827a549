rule train:
    """One step of a tree: pretraining, an intermediate step, or the target task."""
    input:
        inputs("checkpoints"),
    output:
        update(MANIFEST),
    log:
        paths.log_file("train", "{node}"),
    benchmark:
        paths.benchmark_file("train", "{node}")
    wildcard_constraints:
        node=r"[^/]+\.s[0-9]+\.[0-9a-f]{12}",
    priority: priority("checkpoints")
    conda:
        "../../envs/xstilts.yaml"
    threads: RESOURCES.threads("train")
    resources:
        **RESOURCES.keywords("train"),
    params:
        options=lambda wildcards: RESOURCES.train_options(wildcards.node.split(".")[0]),
        then=lambda wildcards: predict_in_process(
            REQUESTS.predicted_by(wildcards.node),
            SNAPSHOT,
            RESOURCES.options("predict", wildcards.node.split(".")[0]),
        ),
    message:
        "train {wildcards.node}"
    shell:
        command("train")
        + "{wildcards.node:q} --threads {threads} {params.options} {params.then}"


rule merge:
    """Merge trainings from the same checkpoint; it needs no GPU."""
    input:
        inputs("checkpoints"),
    output:
        update(MANIFEST),
    log:
        paths.log_file("merge", "{node}"),
    benchmark:
        paths.benchmark_file("merge", "{node}")
    wildcard_constraints:
        node=r"[^/]+\.s[0-9]+\.merge\.[0-9a-f]{12}",
    priority: priority("checkpoints")
    conda:
        "../../envs/xstilts.yaml"
    resources:
        **RESOURCES.keywords("merge"),
    message:
        "merge {wildcards.node}"
    shell:
        command("merge") + "{wildcards.node:q}"
