# A rule per target, which knows its languages: one job predicts them all, and with a language added
# later only the new file; update() keeps the others in place.
PREDICTIONS = {}
for predictions in SHARED.predictions.values():
    PREDICTIONS[predictions.target] = predictions

for target, example in PREDICTIONS.items():

    rule:
        name:
            f"predict_{target}"
        input:
            inputs("predictions"),
        output:
            update(
                [
                    f"results/predictions/{{node}}/{prediction_file(dataset)}"
                    for dataset in example.datasets
                ]
            ),
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
