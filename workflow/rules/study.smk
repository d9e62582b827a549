rule study:
    """Tables, figures and page of the study; the stamp's name says of which scores and code."""
    input:
        lambda wildcards: needed(GRID.artefacts().scores.values()),
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
        said=f"{VIEW.folder}/answer.md",
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
        stamp=VIEW.stamp if workflow.is_main_process else [],
    log:
        f"{LOGS}/study/{STUDY.study}.log",
    benchmark:
        f"{BENCHMARKS}/study/{STUDY.study}.tsv"
    localrule: True
    conda:
        "../../envs/xstilts.yaml"
    message:
        f"tables and figures of study {STUDY.study}"
    shell:
        command("study") + "> /dev/null"
