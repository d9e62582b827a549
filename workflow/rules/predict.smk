# A rule per target: one job predicts all languages that are missing; update() keeps the others.
for target, files in prediction_files().items():

    rule:
        name:
            f"predict_{target}"
        input:
            inputs("predictions"),
        output:
            update([f"results/predictions/{{node}}/{name}" for name in files]),
        log:
            f"{LOGS}/predict/{{node}}.log",
        benchmark:
            f"{BENCHMARKS}/predict/{{node}}.tsv"
        wildcard_constraints:
            node=rf"[^/]+\.{target}\.[0-9a-f]{{12}}",
        conda:
            "../../envs/xstilts.yaml"
        threads: processors("predict")
        resources:
            **needs("predict", f"predict_{target}"),
        message:
            "predict {wildcards.node}"
        shell:
            command("predict") + "{wildcards.node:q} --threads {threads}"
