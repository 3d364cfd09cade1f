@_exported import LetheCore
@_exported import LetheData
@_exported import LetheFormats
@_exported import LetheInsight
@_exported import LetheNN
@_exported import LetheTraining
@_exported import LetheLabs
