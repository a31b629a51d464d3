"""How a run looks: one offline HTML page (`report.html`) and a summary in the terminal (`report.text`).

Numbers come from the run's measures, jobs and timeline; this room only shapes, words and draws them.
"""
