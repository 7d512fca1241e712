"""The stages of a run, each declared once: its rules, their jobs and files, what they read and check, and what does the work.

One module per stage; `connectomake.pipeline.registry` derives all else from them: fingerprints, targets, what is to be
verified, progress. Nothing heavy is imported here: every job on a cluster starts by importing all declarations.
"""
