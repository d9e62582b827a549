rule study:
    """Draw the study's tables, figures and page; the stamp's name is a digest of all they show."""
    input:
        lambda wildcards: ancient(REQUESTS.files(GRID.artefacts().scores.values())),
    output:
        scores=report(
            f"{VIEW.folder}/scores.csv",
            category="Tables",
            caption="../report/scores.rst",
        ),
        table=report(
            f"{VIEW.folder}/table.md", category="Tables", caption="../report/table.rst"
        ),
        csv=f"{VIEW.folder}/table.csv",
        answer=f"{VIEW.folder}/answer.json",
        answer_text=f"{VIEW.folder}/answer.md",
        gains=f"{VIEW.folder}/gains.csv",
        heatmap=report(
            f"{VIEW.folder}/heatmap.png",
            category="Figures",
            caption="../report/heatmap.rst",
        ),
        languages=report(
            f"{VIEW.folder}/languages.png",
            category="Figures",
            caption="../report/languages.rst",
        ),
        page=f"{VIEW.folder}/report.html",
        stamp=VIEW.stamp if RUN.plans else [],  # costs an expansion of all cells
    log:
        paths.log_file("study", GRID.study.study),
    benchmark:
        paths.benchmark_file("study", GRID.study.study)
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    message:
        f"tables and figures of study {GRID.study.study}"
    shell:
        command("study")
