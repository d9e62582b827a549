FOLDER = paths.PREDICTIONS.format(id="{node}")

# A rule for each target: one job predicts all missing languages; update() keeps the others.
for _target, _names in REQUESTS.prediction_files().items():

    rule:
        name:
            f"predict_{_target}"
        input:
            inputs("predictions"),
        output:
            update([f"{FOLDER}/{name}" for name in _names]),
        log:
            paths.log_file("predict", "{node}"),
        benchmark:
            paths.benchmark_file("predict", "{node}")
        wildcard_constraints:
            node=rf"[^/]+\.{_target}\.[0-9a-f]{{12}}",
        priority: priority("predictions")
        conda:
            "../../envs/xstilts.yaml"
        threads: RESOURCES.threads("predict")
        resources:
            **RESOURCES.keywords("predict", f"predict_{_target}"),
        message:
            "predict {wildcards.node}"
        shell:
            command("predict") + "{wildcards.node:q} --threads {threads}"
