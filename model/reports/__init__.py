"""Reports: metrics.json, plots, the HTML report and the model card. The only room that imports matplotlib."""
