export PYTHONPATH=/tmp/xt_run/workflow PATH=/work/main/.venv/bin:$PATH XSTILTS_REAL_DATA=/work/shared/data
cd /tmp/xt_run
date; nice -n 10 snakemake -c1 --configfile config/studies/slices_a.yaml; date
nice -n 10 snakemake -c1 --configfile config/studies/slices_b.yaml; date
