// Settings of rules, alerts and dashboards. To change one, import mixin.libsonnet and
// override it:
//   (import 'mixin.libsonnet') { _config+:: { intervalMinutes: 60 } }
{
  _config+:: {
    local c = self,

    // The longest scrape interval of the probe jobs, in minutes.
    intervalMinutes: 5,
    // How far rules look back for the last sample of a target: three intervals, so that
    // two lost scrapes have no effect. Prometheus itself looks back five minutes.
    window: '%dm' % (3 * c.intervalMinutes),
    // The same for metrics of the exporter. The increase of a counter needs at least two
    // samples, so the window is not shorter than ten minutes.
    exporterWindow: '%dm' % std.max(10, 3 * c.intervalMinutes),

    // The labels that the scrape configuration gives to a target. They distinguish two
    // modules of one instance, and two exporters that probe it. Texts of alerts use these
    // four labels. Add a label, such as cluster, if several clusters have the same targets.
    targetLabels: ['job', 'instance', 'module', 'exporter'],
    // Selects the probe jobs among all scrape jobs: only they have a label module.
    probeSelector: 'module!=""',

    // DaneSignaturesNearEnd: the share of the validity period that is left. A number of
    // days does not fit all signers. An online signer creates signatures that are valid for
    // two days, and half of that period is always left. A signer with a validity of two or
    // four weeks signs again well before a fifth is left.
    signatureShare: 0.15,
    // DaneAuthenticationEnds: days until DANE authentication fails.
    authenticationDays: 7,
    // DanePKIXExpiryNear, DaneRolloverNotReady: days until the certificate expires.
    certificateDays: 14,
    // DaneRolloverNotReady, if a renewal with the same key breaks DANE too: days until the
    // certificate expires. ACME clients renew a month before it.
    renewalDays: 35,
    // DaneTLSARecordsGone: the past period in which the service must have had records.
    recordsWindow: '1d',
    // DaneNameserverInconsistent, DaneMTASTSDisagreement: minutes that the condition must
    // hold. Secondary nameservers update with a delay.
    inconsistentMinutes: 30,

    // Links of alerts. EXPORTER is replaced by the address of the exporter that probed the
    // target: its --web.external-url if that is set, otherwise http:// and the label
    // exporter, otherwise exporterUrl.
    exporterUrl: 'https://dane-exporter.example',
    reportUrl: 'EXPORTER/report',
    runbookUrl: 'EXPORTER/docs/runbook.md',
  },
}
