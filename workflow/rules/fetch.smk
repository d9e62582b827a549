# The only rules with a network: `snakemake fetch_all` on a login node, then everything is offline.
DOWNLOADS = {}
for split in SHARED.downloads.values():
    if isinstance(split, Download):
        DOWNLOADS.setdefault(split.task, []).append(split)

# A rule per task, as in prepare.smk; splits that are there already are kept.
for task, splits in DOWNLOADS.items():

    rule:
        name:
            f"fetch_data_{task}"
        output:
            update([f"{download.path}/manifest.json" for download in splits]),
        log:
            f"{LOGS}/fetch/{task}.log",
        benchmark:
            f"{BENCHMARKS}/fetch/{task}.tsv"
        localrule: True
        conda:
            "../../envs/xstilts.yaml"
        params:
            ids=[download.id for download in splits],
        message:
            f"fetch {task}: {len(splits)} splits"
        shell:
            command("fetch") + "{params.ids:q}"


rule fetch:
    """Download a pretrained model at its pinned commit."""
    output:
        update("results/checkpoints/{node}/manifest.json"),
    log:
        f"{LOGS}/fetch/{{node}}.log",
    benchmark:
        f"{BENCHMARKS}/fetch/{{node}}.tsv"
    wildcard_constraints:
        node=r"[^/]+\.hub\.[0-9a-f]{12}",
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    message:
        "fetch {wildcards.node}"
    shell:
        command("fetch") + "{wildcards.node:q}"


rule fetch_all:
    """All that the study needs of the Hub."""
    input:
        lambda wildcards: needed(SHARED.downloads.values()),
    localrule: True


rule initialise:
    """Make a model with random weights, and train its tokenizer."""
    input:
        inputs("checkpoints"),
    output:
        update("results/checkpoints/{node}/manifest.json"),
    log:
        f"{LOGS}/initialise/{{node}}.log",
    benchmark:
        f"{BENCHMARKS}/initialise/{{node}}.tsv"
    wildcard_constraints:
        node=r"[^/]+\.init\.[0-9a-f]{12}",
    conda:
        "../../envs/xstilts.yaml"
    resources:
        **needs("initialise"),
    message:
        "initialise {wildcards.node}"
    shell:
        command("initialise") + "{wildcards.node:q}"
