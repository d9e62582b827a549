# The only rules with a network: `snakemake fetch_all` on a login node, then everything is offline.
# A rule for each task, as in prepare.smk; update() keeps splits that exist.
for _task, _splits in REQUESTS.by_task("downloads").items():

    rule:
        name:
            f"fetch_data_{_task}"
        output:
            update([split.files[-1] for split in _splits]),
        log:
            paths.log_file("fetch", _task),
        benchmark:
            paths.benchmark_file("fetch", _task)
        localrule: True
        conda:
            "../../envs/xstilts.yaml"
        params:
            ids=[split.id for split in _splits],
        message:
            f"fetch {_task}: {len(_splits)} splits"
        shell:
            command("fetch") + "{params.ids:q}"


rule fetch:
    """Download a pretrained model at its pinned commit."""
    output:
        update(MANIFEST),
    log:
        paths.log_file("fetch", "{node}"),
    benchmark:
        paths.benchmark_file("fetch", "{node}")
    wildcard_constraints:
        node=r"[^/]+\.hub\.[0-9a-f]{12}",
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    message:
        "fetch {wildcards.node}"
    shell:
        command("fetch") + "{wildcards.node:q}"


rule initialise:
    """Create a model with random weights and its tokenizer, or take one from a local folder."""
    input:
        inputs("checkpoints"),
    output:
        update(MANIFEST),
    log:
        paths.log_file("initialise", "{node}"),
    benchmark:
        paths.benchmark_file("initialise", "{node}")
    wildcard_constraints:
        node=r"[^/]+\.(init|local)\.[0-9a-f]{12}",
    conda:
        "../../envs/xstilts.yaml"
    resources:
        **RESOURCES.keywords("initialise"),
    message:
        "initialise {wildcards.node}"
    shell:
        command("initialise") + "{wildcards.node:q}"
